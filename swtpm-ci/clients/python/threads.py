"""Eight threads sign ten times each, on sessions of their own, and the token verifies; the process ends without a C_Finalize."""

import concurrent.futures
import os
import sys

import pkcs11

token = pkcs11.lib(os.environ["module"]).get_token(token_label="laptop")
with open("pin") as file:
    pin = file.read().strip()


def sign(thread):
    made = 0
    with token.open() as session:
        private = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="python")
        public = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label="python")
        for time in range(10):
            message = f"{thread} {time}".encode()
            signature = private.sign(message, mechanism=pkcs11.Mechanism.ECDSA_SHA256)
            assert public.verify(message, signature, mechanism=pkcs11.Mechanism.ECDSA_SHA256)
            assert not public.verify(message + b".", signature, mechanism=pkcs11.Mechanism.ECDSA_SHA256)
            made += 1
    return made


with token.open(user_pin=pin):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(sign, range(8))), "signatures by 8 threads")

# An open session and a login go with the process: whatever runs at its exit must not fall over them.
left_open = token.open(user_pin=pin)
if "fork" in sys.argv:
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
