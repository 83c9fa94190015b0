//! How the module is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        // Programs that link the module by name find it by this one.
        "-soname,libhierarkey.so",
        // The function lists hold our own C_ functions even where another module's were loaded
        // into the process's global scope before.
        "-Bsymbolic-functions",
        // Everything is resolved when the module is loaded, and the function lists are read-only
        // from then on.
        "-z,relro",
        "-z,now",
    ] {
        println!("cargo:rustc-cdylib-link-arg=-Wl,{argument}");
    }
}
