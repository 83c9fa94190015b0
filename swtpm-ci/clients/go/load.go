// Load calls the server of docs/languages.md: eight at a time, sixty-four times, each with a handshake of its own; and signs beside it, eight
// at a time, with keys that it makes itself.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/ThalesIgnite/crypto11"
)

func main() {
	der, err := os.ReadFile("served.der")
	check(err)
	certificate, err := x509.ParseCertificate(der)
	check(err)
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)

	pin, err := os.ReadFile("pin")
	check(err)
	token, err := crypto11.Configure(&crypto11.Config{
		Path: os.Getenv("module"), TokenLabel: "laptop", Pin: strings.TrimSpace(string(pin)),
	})
	check(err)
	defer token.Close()
	curve, err := token.GenerateECDSAKeyPairWithLabel([]byte("go-ec"), []byte("go-ec"), elliptic.P256())
	check(err)
	two, err := token.GenerateRSAKeyPairWithLabel([]byte("go-rsa"), []byte("go-rsa"), 2048)
	check(err)

	var group sync.WaitGroup
	for routine := 0; routine < 8; routine++ {
		group.Add(1)
		go func(routine int) {
			defer group.Done()
			for time := 0; time < 8; time++ {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted}}}
				answer, err := client.Get("https://" + os.Args[1] + "/")
				check(err)
				body, err := io.ReadAll(answer.Body)
				check(err)
				if string(body) != "served\n" {
					log.Fatalf("it says: %q", body)
				}
				digest := sha256.Sum256([]byte(fmt.Sprint(routine, time)))
				signature, err := curve.Sign(rand.Reader, digest[:], crypto.SHA256)
				check(err)
				if !ecdsa.VerifyASN1(curve.Public().(*ecdsa.PublicKey), digest[:], signature) {
					log.Fatal("the EC signature is not valid")
				}
				padding := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
				signature, err = two.Sign(rand.Reader, digest[:], padding)
				check(err)
				check(rsa.VerifyPSS(two.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature, padding))
				encrypted, err := rsa.EncryptPKCS1v15(rand.Reader, two.Public().(*rsa.PublicKey), digest[:])
				check(err)
				plain, err := two.Decrypt(rand.Reader, encrypted, nil)
				check(err)
				if string(plain) != string(digest[:]) {
					log.Fatal("decrypted to something else")
				}
			}
		}(routine)
	}
	group.Wait()
	random, err := token.NewRandomReader()
	check(err)
	_, err = io.ReadFull(random, make([]byte, 64))
	check(err)
	fmt.Println("64 handshakes, 64 signatures with each key")
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
