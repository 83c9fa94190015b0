"""An AES key in the TPM, and what python-pkcs11 encrypts with it: CBC with padding."""

import os

import pkcs11

token = pkcs11.lib(os.environ["module"]).get_token(token_label="laptop")
with open("pin") as pin, token.open(rw=True, user_pin=pin.read().strip()) as session:
    # Without a word of what it is for, python-pkcs11 asks for a key that also wraps.
    ciphers = pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT
    key = session.generate_key(pkcs11.KeyType.AES, 256, label="python-aes", capabilities=ciphers, store=True)
    iv = session.generate_random(128)
    message = b"a secret of more than one block, in the token"
    encrypted = key.encrypt(message, mechanism_param=iv)
    assert message not in encrypted and key.decrypt(encrypted, mechanism_param=iv) == message
    key.destroy()
    print("encrypted", len(encrypted), "bytes")
