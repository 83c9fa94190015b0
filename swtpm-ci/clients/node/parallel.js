// Eight sessions sign ten times each with C_SignAsync, on the threads that Node has for such calls; Node's own crypto verifies.
const crypto = require("crypto");
const fs = require("fs");
const p = require("pkcs11js");

const pkcs11 = new p.PKCS11();
pkcs11.load(process.env.module);
pkcs11.C_Initialize({ flags: p.CKF_OS_LOCKING_OK });
const slot = pkcs11.C_GetSlotList(true).find((s) => pkcs11.C_GetTokenInfo(s).label.trim() === "laptop");
const first = pkcs11.C_OpenSession(slot, p.CKF_SERIAL_SESSION);
pkcs11.C_Login(first, p.CKU_USER, fs.readFileSync("pin", "utf8").trim());
const publicKey = crypto.createPublicKey({ key: fs.readFileSync("public.der"), format: "der", type: "spki" });

async function sign(number) {
    const session = pkcs11.C_OpenSession(slot, p.CKF_SERIAL_SESSION);
    pkcs11.C_FindObjectsInit(session, [{ type: p.CKA_CLASS, value: p.CKO_PRIVATE_KEY }, { type: p.CKA_LABEL, value: "node" }]);
    const key = pkcs11.C_FindObjects(session);
    pkcs11.C_FindObjectsFinal(session);
    for (let time = 0; time < 10; time++) {
        const message = Buffer.from(`${number} ${time}`);
        pkcs11.C_SignInit(session, { mechanism: p.CKM_ECDSA_SHA256 }, key);
        const signature = await pkcs11.C_SignAsync(session, message, Buffer.alloc(64));
        if (!crypto.verify("sha256", message, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature)) {
            throw new Error("the signature is not valid");
        }
    }
    pkcs11.C_CloseSession(session);
    return 10;
}

Promise.all([...Array(8).keys()].map(sign)).then((made) => {
    console.log(`${made.reduce((a, b) => a + b)} signatures in 8 sessions`);
    pkcs11.C_Finalize();
});
