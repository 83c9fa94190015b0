import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.Signature;
import java.util.ArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.crypto.Cipher;

/**
 * Eight threads sign ten times each with every key of the token, and with every algorithm that the key has; Java's own code verifies. Then each decrypts.
 * The arguments are SunPKCS11's configuration and the PIN's file.
 */
public class Threads {
    static final int THREADS = 8;
    static final int TIMES = 10;

    public static void main(String[] arguments) throws Exception {
        var provider = Security.getProvider("SunPKCS11").configure(arguments[0]);
        Security.addProvider(provider);
        var store = KeyStore.getInstance("PKCS11", provider);
        store.load(null, Files.readString(Path.of(arguments[1])).strip().toCharArray());
        var pool = Executors.newFixedThreadPool(THREADS);
        var running = new ArrayList<Future<Integer>>();
        for (int thread = 0; thread < THREADS; thread++) {
            var number = thread;
            running.add(pool.submit(() -> everyKey(store, provider.getName(), number)));
        }
        pool.shutdown();
        int signatures = 0;
        for (var future : running) {
            signatures += future.get();
        }
        System.out.println(signatures + " signatures by " + THREADS + " threads");
    }

    static int everyKey(KeyStore store, String provider, int thread) throws Exception {
        int made = 0;
        for (var alias : java.util.Collections.list(store.aliases())) {
            var key = (PrivateKey) store.getKey(alias, null);
            // Read anew, so that Java's own providers verify.
            var certificate = java.security.cert.CertificateFactory.getInstance("X.509")
                    .generateCertificate(new java.io.ByteArrayInputStream(store.getCertificate(alias).getEncoded()));
            var algorithms = key.getAlgorithm().equals("RSA")
                    ? new String[] {"SHA256withRSA", "SHA512withRSA", "RSASSA-PSS"}
                    : new String[] {"SHA256withECDSA", "SHA384withECDSA"};
            for (int time = 0; time < TIMES; time++) {
                var algorithm = algorithms[(time + thread) % algorithms.length];
                var message = (alias + thread + time).getBytes();
                var signer = Signature.getInstance(algorithm, provider);
                var verifier = Signature.getInstance(algorithm, algorithm.endsWith("ECDSA") ? "SunEC" : "SunRsaSign");
                if (algorithm.equals("RSASSA-PSS")) {
                    var pss = new java.security.spec.PSSParameterSpec("SHA-256", "MGF1",
                            java.security.spec.MGF1ParameterSpec.SHA256, 32, 1);
                    signer.setParameter(pss);
                    verifier.setParameter(pss);
                }
                signer.initSign(key);
                signer.update(message);
                var signature = signer.sign();
                verifier.initVerify(certificate.getPublicKey());
                verifier.update(message);
                if (!verifier.verify(signature)) {
                    throw new IllegalStateException(algorithm + " of " + alias + " is not valid");
                }
                made++;
            }
            if (key.getAlgorithm().equals("RSA")) {
                var encrypter = Cipher.getInstance("RSA/ECB/PKCS1Padding", "SunJCE");
                encrypter.init(Cipher.ENCRYPT_MODE, certificate.getPublicKey());
                var encrypted = encrypter.doFinal("a secret".getBytes());
                var decrypter = Cipher.getInstance("RSA/ECB/PKCS1Padding", provider);
                decrypter.init(Cipher.DECRYPT_MODE, key);
                if (!new String(decrypter.doFinal(encrypted)).equals("a secret")) {
                    throw new IllegalStateException("decrypted to something else");
                }
            }
        }
        return made;
    }
}
