//! THE TABLE: one row for each C_ function, under the heading that the specification gives it.
//!
//! The exported functions and the lists of versions 2.40, 3.0 and 3.2 are made of it.

#![allow(non_snake_case, reason = "arguments are named as the specification names them")]

use cryptoki_sys::{
    CK_ASYNC_DATA_PTR, CK_ATTRIBUTE_PTR, CK_BBOOL, CK_BYTE_PTR, CK_FLAGS, CK_FLAGS_PTR,
    CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_FUNCTION_LIST_3_2, CK_FUNCTION_LIST_PTR_PTR,
    CK_INFO_PTR, CK_INTERFACE_PTR, CK_INTERFACE_PTR_PTR, CK_MECHANISM_INFO_PTR, CK_MECHANISM_PTR,
    CK_MECHANISM_TYPE, CK_MECHANISM_TYPE_PTR, CK_NOTIFY, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE_PTR,
    CK_RV, CK_SESSION_HANDLE, CK_SESSION_HANDLE_PTR, CK_SESSION_INFO_PTR,
    CK_SESSION_VALIDATION_FLAGS_TYPE, CK_SLOT_ID, CK_SLOT_ID_PTR, CK_SLOT_INFO_PTR,
    CK_TOKEN_INFO_PTR, CK_ULONG, CK_ULONG_PTR, CK_USER_TYPE, CK_UTF8CHAR_PTR, CK_VERSION,
    CK_VERSION_PTR, CK_VOID_PTR,
};

use super::aead::MessageParameter;
use super::attributes::Template;
use super::entry::{self, entry_points};
use super::general::{self, Initialization, not_offered, not_parallel};
use super::input::Input;
use super::interface::{self, Wanted};
use super::list::{List, UpTo};
use super::mechanism::Mechanism;
use super::output::{Output, Room};
use super::scalar::Out;
use super::{
    decryption, digesting, dual, encryption, key_management, message, message_encryption, object,
    random, session, signing, slot_and_token, verifying,
};

pub(super) const VERSION_2_40: CK_VERSION = CK_VERSION { major: 2, minor: 40 };
pub(super) const VERSION_3_0: CK_VERSION = CK_VERSION { major: 3, minor: 0 };
pub(super) const VERSION_3_2: CK_VERSION = CK_VERSION { major: 3, minor: 2 };

/// What `C_GetFunctionList` gives.
pub(super) static FUNCTION_LIST_2_40: CK_FUNCTION_LIST = ROWS_2_40;

/// The list of the interface "PKCS 11", version 3.0.
pub(super) static FUNCTION_LIST_3_0: CK_FUNCTION_LIST_3_0 =
    CK_FUNCTION_LIST_3_0 { C_GetInfo: Some(C_GetInfo_3_0), ..ROWS_3_0 };

/// The list of the interface "PKCS 11", version 3.2.
pub(super) static FUNCTION_LIST_3_2: CK_FUNCTION_LIST_3_2 =
    CK_FUNCTION_LIST_3_2 { C_GetInfo: Some(C_GetInfo_3_2), ..ROWS_3_2 };

/// `C_GetInfo` of the 3.0 list: it tells the version of the list it was called by.
unsafe extern "C" fn C_GetInfo_3_0(pInfo: CK_INFO_PTR) -> CK_RV {
    // SAFETY: as for every row.
    entry::call("C_GetInfo", || general::info(VERSION_3_0, unsafe { Out::new(pInfo) }))
}

/// `C_GetInfo` of the 3.2 list.
unsafe extern "C" fn C_GetInfo_3_2(pInfo: CK_INFO_PTR) -> CK_RV {
    // SAFETY: as for every row.
    entry::call("C_GetInfo", || general::info(VERSION_3_2, unsafe { Out::new(pInfo) }))
}

entry_points! {
    ROWS_2_40: CK_FUNCTION_LIST = VERSION_2_40 {
        // General-purpose functions
        C_Initialize(pInitArgs: CK_VOID_PTR) => general::initialize(Initialization::new(pInitArgs));
        C_Finalize(pReserved: CK_VOID_PTR) => general::finalize(pReserved);
        C_GetInfo(pInfo: CK_INFO_PTR) => general::info(VERSION_2_40, Out::new(pInfo));
        C_GetFunctionList(ppFunctionList: CK_FUNCTION_LIST_PTR_PTR)
            => interface::function_list(Out::new(ppFunctionList));

        // Slot and token management functions
        C_GetSlotList(tokenPresent: CK_BBOOL, pSlotList: CK_SLOT_ID_PTR, pulCount: CK_ULONG_PTR)
            => slot_and_token::slot_list(tokenPresent, List::new(pSlotList, pulCount));
        C_GetSlotInfo(slotID: CK_SLOT_ID, pInfo: CK_SLOT_INFO_PTR)
            => slot_and_token::slot_info(slotID, Out::new(pInfo));
        C_GetTokenInfo(slotID: CK_SLOT_ID, pInfo: CK_TOKEN_INFO_PTR)
            => slot_and_token::token_info(slotID, Out::new(pInfo));
        C_GetMechanismList(slotID: CK_SLOT_ID, pMechanismList: CK_MECHANISM_TYPE_PTR,
                           pulCount: CK_ULONG_PTR)
            => slot_and_token::mechanism_list(slotID, List::new(pMechanismList, pulCount));
        C_GetMechanismInfo(slotID: CK_SLOT_ID, type_: CK_MECHANISM_TYPE,
                           pInfo: CK_MECHANISM_INFO_PTR)
            => slot_and_token::mechanism_info(slotID, type_, Out::new(pInfo));
        C_InitToken(slotID: CK_SLOT_ID, pPin: CK_UTF8CHAR_PTR, ulPinLen: CK_ULONG,
                    pLabel: CK_UTF8CHAR_PTR)
            => slot_and_token::init_token(slotID, Input::new(pPin, ulPinLen),
                                          Input::new(pLabel, 32));
        C_InitPIN(hSession: CK_SESSION_HANDLE, pPin: CK_UTF8CHAR_PTR, ulPinLen: CK_ULONG)
            => slot_and_token::init_pin(hSession, Input::new(pPin, ulPinLen));
        C_SetPIN(hSession: CK_SESSION_HANDLE, pOldPin: CK_UTF8CHAR_PTR, ulOldLen: CK_ULONG,
                 pNewPin: CK_UTF8CHAR_PTR, ulNewLen: CK_ULONG)
            => slot_and_token::set_pin(hSession, Input::new(pOldPin, ulOldLen),
                                       Input::new(pNewPin, ulNewLen));

        // Session management functions
        C_OpenSession(slotID: CK_SLOT_ID, flags: CK_FLAGS, pApplication: CK_VOID_PTR,
                      Notify: CK_NOTIFY, phSession: CK_SESSION_HANDLE_PTR)
            => session::open_session(slotID, flags, Out::new(phSession));
        C_CloseSession(hSession: CK_SESSION_HANDLE) => session::close_session(hSession);
        C_CloseAllSessions(slotID: CK_SLOT_ID) => session::close_all_sessions(slotID);
        C_GetSessionInfo(hSession: CK_SESSION_HANDLE, pInfo: CK_SESSION_INFO_PTR)
            => session::session_info(hSession, Out::new(pInfo));
        C_GetOperationState(hSession: CK_SESSION_HANDLE, pOperationState: CK_BYTE_PTR,
                            pulOperationStateLen: CK_ULONG_PTR)
            => session::operation_state(
                hSession, Output::new(pOperationState, pulOperationStateLen));
        C_SetOperationState(hSession: CK_SESSION_HANDLE, pOperationState: CK_BYTE_PTR,
                            ulOperationStateLen: CK_ULONG, hEncryptionKey: CK_OBJECT_HANDLE,
                            hAuthenticationKey: CK_OBJECT_HANDLE)
            => session::set_operation_state(
                hSession, Input::new(pOperationState, ulOperationStateLen), hEncryptionKey,
                hAuthenticationKey);
        C_Login(hSession: CK_SESSION_HANDLE, userType: CK_USER_TYPE, pPin: CK_UTF8CHAR_PTR,
                ulPinLen: CK_ULONG)
            => session::login(hSession, userType, Input::new(pPin, ulPinLen));
        C_Logout(hSession: CK_SESSION_HANDLE) => session::logout(hSession);

        // Object management functions
        C_CreateObject(hSession: CK_SESSION_HANDLE, pTemplate: CK_ATTRIBUTE_PTR, ulCount: CK_ULONG,
                       phObject: CK_OBJECT_HANDLE_PTR)
            => object::create_object(hSession, Template::new(pTemplate, ulCount),
                                     Out::new(phObject));
        C_CopyObject(hSession: CK_SESSION_HANDLE, hObject: CK_OBJECT_HANDLE,
                     pTemplate: CK_ATTRIBUTE_PTR, ulCount: CK_ULONG,
                     phNewObject: CK_OBJECT_HANDLE_PTR)
            => object::copy_object(hSession, hObject, Template::new(pTemplate, ulCount),
                                   Out::new(phNewObject));
        C_DestroyObject(hSession: CK_SESSION_HANDLE, hObject: CK_OBJECT_HANDLE)
            => object::destroy_object(hSession, hObject);
        C_GetObjectSize(hSession: CK_SESSION_HANDLE, hObject: CK_OBJECT_HANDLE,
                        pulSize: CK_ULONG_PTR)
            => object::object_size(hSession, hObject, Out::new(pulSize));
        C_GetAttributeValue(hSession: CK_SESSION_HANDLE, hObject: CK_OBJECT_HANDLE,
                            pTemplate: CK_ATTRIBUTE_PTR, ulCount: CK_ULONG)
            => object::attribute_values(hSession, hObject, Template::new(pTemplate, ulCount));
        C_SetAttributeValue(hSession: CK_SESSION_HANDLE, hObject: CK_OBJECT_HANDLE,
                            pTemplate: CK_ATTRIBUTE_PTR, ulCount: CK_ULONG)
            => object::set_attribute_values(hSession, hObject, Template::new(pTemplate, ulCount));
        C_FindObjectsInit(hSession: CK_SESSION_HANDLE, pTemplate: CK_ATTRIBUTE_PTR,
                          ulCount: CK_ULONG)
            => object::find_init(hSession, Template::new(pTemplate, ulCount));
        C_FindObjects(hSession: CK_SESSION_HANDLE, phObject: CK_OBJECT_HANDLE_PTR,
                      ulMaxObjectCount: CK_ULONG, pulObjectCount: CK_ULONG_PTR)
            => object::find(hSession, UpTo::new(phObject, ulMaxObjectCount, pulObjectCount));
        C_FindObjectsFinal(hSession: CK_SESSION_HANDLE) => object::find_final(hSession);

        // Encryption functions
        C_EncryptInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                      hKey: CK_OBJECT_HANDLE)
            => encryption::encrypt_init(hSession, Mechanism::new(pMechanism), hKey);
        C_Encrypt(hSession: CK_SESSION_HANDLE, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
                  pEncryptedData: CK_BYTE_PTR, pulEncryptedDataLen: CK_ULONG_PTR)
            => encryption::encrypt(hSession, Input::new(pData, ulDataLen),
                                   Output::new(pEncryptedData, pulEncryptedDataLen));
        C_EncryptUpdate(hSession: CK_SESSION_HANDLE, pPart: CK_BYTE_PTR, ulPartLen: CK_ULONG,
                        pEncryptedPart: CK_BYTE_PTR, pulEncryptedPartLen: CK_ULONG_PTR)
            => encryption::encrypt_update(hSession, Input::new(pPart, ulPartLen),
                                          Output::new(pEncryptedPart, pulEncryptedPartLen));
        C_EncryptFinal(hSession: CK_SESSION_HANDLE, pLastEncryptedPart: CK_BYTE_PTR,
                       pulLastEncryptedPartLen: CK_ULONG_PTR)
            => encryption::encrypt_final(hSession,
                                         Output::new(pLastEncryptedPart, pulLastEncryptedPartLen));

        // Decryption functions
        C_DecryptInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                      hKey: CK_OBJECT_HANDLE)
            => decryption::decrypt_init(hSession, Mechanism::new(pMechanism), hKey);
        C_Decrypt(hSession: CK_SESSION_HANDLE, pEncryptedData: CK_BYTE_PTR,
                  ulEncryptedDataLen: CK_ULONG, pData: CK_BYTE_PTR, pulDataLen: CK_ULONG_PTR)
            => decryption::decrypt(hSession, Input::new(pEncryptedData, ulEncryptedDataLen),
                                   Output::new(pData, pulDataLen));
        C_DecryptUpdate(hSession: CK_SESSION_HANDLE, pEncryptedPart: CK_BYTE_PTR,
                        ulEncryptedPartLen: CK_ULONG, pPart: CK_BYTE_PTR, pulPartLen: CK_ULONG_PTR)
            => decryption::decrypt_update(hSession,
                                          Input::new(pEncryptedPart, ulEncryptedPartLen),
                                          Output::new(pPart, pulPartLen));
        C_DecryptFinal(hSession: CK_SESSION_HANDLE, pLastPart: CK_BYTE_PTR,
                       pulLastPartLen: CK_ULONG_PTR)
            => decryption::decrypt_final(hSession, Output::new(pLastPart, pulLastPartLen));

        // Message digesting functions
        C_DigestInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR)
            => digesting::digest_init(hSession, Mechanism::new(pMechanism));
        C_Digest(hSession: CK_SESSION_HANDLE, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
                 pDigest: CK_BYTE_PTR, pulDigestLen: CK_ULONG_PTR)
            => digesting::digest(hSession, Input::new(pData, ulDataLen),
                                 Output::new(pDigest, pulDigestLen));
        C_DigestUpdate(hSession: CK_SESSION_HANDLE, pPart: CK_BYTE_PTR, ulPartLen: CK_ULONG)
            => digesting::digest_update(hSession, Input::new(pPart, ulPartLen));
        C_DigestKey(hSession: CK_SESSION_HANDLE, hKey: CK_OBJECT_HANDLE)
            => digesting::digest_key(hSession, hKey);
        C_DigestFinal(hSession: CK_SESSION_HANDLE, pDigest: CK_BYTE_PTR, pulDigestLen: CK_ULONG_PTR)
            => digesting::digest_final(hSession, Output::new(pDigest, pulDigestLen));

        // Signing and MACing functions
        C_SignInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                   hKey: CK_OBJECT_HANDLE)
            => signing::sign_init(hSession, Mechanism::new(pMechanism), hKey);
        C_Sign(hSession: CK_SESSION_HANDLE, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
               pSignature: CK_BYTE_PTR, pulSignatureLen: CK_ULONG_PTR)
            => signing::sign(hSession, Input::new(pData, ulDataLen),
                             Output::new(pSignature, pulSignatureLen));
        C_SignUpdate(hSession: CK_SESSION_HANDLE, pPart: CK_BYTE_PTR, ulPartLen: CK_ULONG)
            => signing::sign_update(hSession, Input::new(pPart, ulPartLen));
        C_SignFinal(hSession: CK_SESSION_HANDLE, pSignature: CK_BYTE_PTR,
                    pulSignatureLen: CK_ULONG_PTR)
            => signing::sign_final(hSession, Output::new(pSignature, pulSignatureLen));
        C_SignRecoverInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                          hKey: CK_OBJECT_HANDLE)
            => signing::sign_recover_init(hSession, Mechanism::new(pMechanism), hKey);
        C_SignRecover(hSession: CK_SESSION_HANDLE, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
                      pSignature: CK_BYTE_PTR, pulSignatureLen: CK_ULONG_PTR)
            => signing::sign_recover(hSession, Input::new(pData, ulDataLen),
                                     Output::new(pSignature, pulSignatureLen));

        // Functions for verifying signatures and MACs
        C_VerifyInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                     hKey: CK_OBJECT_HANDLE)
            => verifying::verify_init(hSession, Mechanism::new(pMechanism), hKey);
        C_Verify(hSession: CK_SESSION_HANDLE, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
                 pSignature: CK_BYTE_PTR, ulSignatureLen: CK_ULONG)
            => verifying::verify(hSession, Input::new(pData, ulDataLen),
                                 Input::new(pSignature, ulSignatureLen));
        C_VerifyUpdate(hSession: CK_SESSION_HANDLE, pPart: CK_BYTE_PTR, ulPartLen: CK_ULONG)
            => verifying::verify_update(hSession, Input::new(pPart, ulPartLen));
        C_VerifyFinal(hSession: CK_SESSION_HANDLE, pSignature: CK_BYTE_PTR,
                      ulSignatureLen: CK_ULONG)
            => verifying::verify_final(hSession, Input::new(pSignature, ulSignatureLen));
        C_VerifyRecoverInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                            hKey: CK_OBJECT_HANDLE)
            => verifying::verify_recover_init(hSession, Mechanism::new(pMechanism), hKey);
        C_VerifyRecover(hSession: CK_SESSION_HANDLE, pSignature: CK_BYTE_PTR,
                        ulSignatureLen: CK_ULONG, pData: CK_BYTE_PTR, pulDataLen: CK_ULONG_PTR)
            => verifying::verify_recover(hSession, Input::new(pSignature, ulSignatureLen),
                                         Output::new(pData, pulDataLen));

        // Dual-function cryptographic functions
        C_DigestEncryptUpdate(hSession: CK_SESSION_HANDLE, pPart: CK_BYTE_PTR, ulPartLen: CK_ULONG,
                              pEncryptedPart: CK_BYTE_PTR, pulEncryptedPartLen: CK_ULONG_PTR)
            => dual::digest_encrypt_update(hSession, Input::new(pPart, ulPartLen),
                                           Output::new(pEncryptedPart, pulEncryptedPartLen));
        C_DecryptDigestUpdate(hSession: CK_SESSION_HANDLE, pEncryptedPart: CK_BYTE_PTR,
                              ulEncryptedPartLen: CK_ULONG, pPart: CK_BYTE_PTR,
                              pulPartLen: CK_ULONG_PTR)
            => dual::decrypt_digest_update(hSession,
                                           Input::new(pEncryptedPart, ulEncryptedPartLen),
                                           Output::new(pPart, pulPartLen));
        C_SignEncryptUpdate(hSession: CK_SESSION_HANDLE, pPart: CK_BYTE_PTR, ulPartLen: CK_ULONG,
                            pEncryptedPart: CK_BYTE_PTR, pulEncryptedPartLen: CK_ULONG_PTR)
            => dual::sign_encrypt_update(hSession, Input::new(pPart, ulPartLen),
                                         Output::new(pEncryptedPart, pulEncryptedPartLen));
        C_DecryptVerifyUpdate(hSession: CK_SESSION_HANDLE, pEncryptedPart: CK_BYTE_PTR,
                              ulEncryptedPartLen: CK_ULONG, pPart: CK_BYTE_PTR,
                              pulPartLen: CK_ULONG_PTR)
            => dual::decrypt_verify_update(hSession,
                                           Input::new(pEncryptedPart, ulEncryptedPartLen),
                                           Output::new(pPart, pulPartLen));

        // Key management functions
        C_GenerateKey(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                      pTemplate: CK_ATTRIBUTE_PTR, ulCount: CK_ULONG, phKey: CK_OBJECT_HANDLE_PTR)
            => key_management::generate_key(hSession, Mechanism::new(pMechanism),
                                            Template::new(pTemplate, ulCount), Out::new(phKey));
        C_GenerateKeyPair(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                          pPublicKeyTemplate: CK_ATTRIBUTE_PTR, ulPublicKeyAttributeCount: CK_ULONG,
                          pPrivateKeyTemplate: CK_ATTRIBUTE_PTR,
                          ulPrivateKeyAttributeCount: CK_ULONG, phPublicKey: CK_OBJECT_HANDLE_PTR,
                          phPrivateKey: CK_OBJECT_HANDLE_PTR)
            => key_management::generate_key_pair(
                hSession, Mechanism::new(pMechanism),
                Template::new(pPublicKeyTemplate, ulPublicKeyAttributeCount),
                Template::new(pPrivateKeyTemplate, ulPrivateKeyAttributeCount),
                Out::new(phPublicKey), Out::new(phPrivateKey));
        C_WrapKey(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                  hWrappingKey: CK_OBJECT_HANDLE, hKey: CK_OBJECT_HANDLE, pWrappedKey: CK_BYTE_PTR,
                  pulWrappedKeyLen: CK_ULONG_PTR)
            => key_management::wrap_key(hSession, Mechanism::new(pMechanism), hWrappingKey, hKey,
                                        Output::new(pWrappedKey, pulWrappedKeyLen));
        C_UnwrapKey(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                    hUnwrappingKey: CK_OBJECT_HANDLE, pWrappedKey: CK_BYTE_PTR,
                    ulWrappedKeyLen: CK_ULONG, pTemplate: CK_ATTRIBUTE_PTR,
                    ulAttributeCount: CK_ULONG, phKey: CK_OBJECT_HANDLE_PTR)
            => key_management::unwrap_key(hSession, Mechanism::new(pMechanism), hUnwrappingKey,
                                          Input::new(pWrappedKey, ulWrappedKeyLen),
                                          Template::new(pTemplate, ulAttributeCount),
                                          Out::new(phKey));
        C_DeriveKey(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                    hBaseKey: CK_OBJECT_HANDLE, pTemplate: CK_ATTRIBUTE_PTR,
                    ulAttributeCount: CK_ULONG, phKey: CK_OBJECT_HANDLE_PTR)
            => key_management::derive_key(hSession, Mechanism::new(pMechanism), hBaseKey,
                                          Template::new(pTemplate, ulAttributeCount),
                                          Out::new(phKey));

        // Random number generation functions
        C_SeedRandom(hSession: CK_SESSION_HANDLE, pSeed: CK_BYTE_PTR, ulSeedLen: CK_ULONG)
            => random::seed_random(hSession, Input::new(pSeed, ulSeedLen));
        C_GenerateRandom(hSession: CK_SESSION_HANDLE, pRandomData: CK_BYTE_PTR,
                         ulRandomLen: CK_ULONG)
            => random::generate_random(hSession, Room::new(pRandomData, ulRandomLen));

        // Parallel function management functions
        C_GetFunctionStatus(hSession: CK_SESSION_HANDLE) => not_parallel(hSession);
        C_CancelFunction(hSession: CK_SESSION_HANDLE) => not_parallel(hSession);

        // Slot and token management functions, since 2.01
        C_WaitForSlotEvent(flags: CK_FLAGS, pSlot: CK_SLOT_ID_PTR, pReserved: CK_VOID_PTR)
            => slot_and_token::wait_for_slot_event(flags, Out::new(pSlot), pReserved);
    }
    ROWS_3_0: CK_FUNCTION_LIST_3_0 = VERSION_3_0 {
        // General-purpose functions
        C_GetInterfaceList(pInterfacesList: CK_INTERFACE_PTR, pulCount: CK_ULONG_PTR)
            => interface::interface_list(List::new(pInterfacesList, pulCount));
        C_GetInterface(pInterfaceName: CK_UTF8CHAR_PTR, pVersion: CK_VERSION_PTR,
                       ppInterface: CK_INTERFACE_PTR_PTR, flags: CK_FLAGS)
            => interface::interface(Wanted::new(pInterfaceName, pVersion, flags),
                                    Out::new(ppInterface));

        // Session management functions
        C_LoginUser(hSession: CK_SESSION_HANDLE, userType: CK_USER_TYPE, pPin: CK_UTF8CHAR_PTR,
                    ulPinLen: CK_ULONG, pUsername: CK_UTF8CHAR_PTR, ulUsernameLen: CK_ULONG)
            => session::login_user(hSession, userType, Input::new(pPin, ulPinLen),
                                   Input::new(pUsername, ulUsernameLen));
        C_SessionCancel(hSession: CK_SESSION_HANDLE, flags: CK_FLAGS)
            => session::session_cancel(hSession, flags);

        // Message-based encryption functions
        C_MessageEncryptInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                             hKey: CK_OBJECT_HANDLE)
            => message_encryption::message_encrypt_init(hSession, Mechanism::new(pMechanism), hKey);
        C_EncryptMessage(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                         ulParameterLen: CK_ULONG, pAssociatedData: CK_BYTE_PTR,
                         ulAssociatedDataLen: CK_ULONG, pPlaintext: CK_BYTE_PTR,
                         ulPlaintextLen: CK_ULONG, pCiphertext: CK_BYTE_PTR,
                         pulCiphertextLen: CK_ULONG_PTR)
            => message_encryption::encrypt_message(
                hSession, MessageParameter::new(pParameter.cast(), ulParameterLen),
                Input::new(pAssociatedData, ulAssociatedDataLen),
                Input::new(pPlaintext, ulPlaintextLen),
                Output::new(pCiphertext, pulCiphertextLen));
        C_EncryptMessageBegin(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                              ulParameterLen: CK_ULONG, pAssociatedData: CK_BYTE_PTR,
                              ulAssociatedDataLen: CK_ULONG)
            => message_encryption::encrypt_message_begin(
                hSession, MessageParameter::new(pParameter.cast(), ulParameterLen),
                Input::new(pAssociatedData, ulAssociatedDataLen));
        C_EncryptMessageNext(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                             ulParameterLen: CK_ULONG, pPlaintextPart: CK_BYTE_PTR,
                             ulPlaintextPartLen: CK_ULONG, pCiphertextPart: CK_BYTE_PTR,
                             pulCiphertextPartLen: CK_ULONG_PTR, flags: CK_FLAGS)
            => message_encryption::encrypt_message_next(
                hSession, MessageParameter::new(pParameter.cast(), ulParameterLen),
                Input::new(pPlaintextPart, ulPlaintextPartLen),
                Output::new(pCiphertextPart, pulCiphertextPartLen), flags);
        C_MessageEncryptFinal(hSession: CK_SESSION_HANDLE)
            => message_encryption::message_encrypt_final(hSession);

        // Message-based decryption functions
        C_MessageDecryptInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                             hKey: CK_OBJECT_HANDLE)
            => message_encryption::message_decrypt_init(hSession, Mechanism::new(pMechanism), hKey);
        C_DecryptMessage(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                         ulParameterLen: CK_ULONG, pAssociatedData: CK_BYTE_PTR,
                         ulAssociatedDataLen: CK_ULONG, pCiphertext: CK_BYTE_PTR,
                         ulCiphertextLen: CK_ULONG, pPlaintext: CK_BYTE_PTR,
                         pulPlaintextLen: CK_ULONG_PTR)
            => message_encryption::decrypt_message(
                hSession, MessageParameter::new(pParameter.cast(), ulParameterLen),
                Input::new(pAssociatedData, ulAssociatedDataLen),
                Input::new(pCiphertext, ulCiphertextLen),
                Output::new(pPlaintext, pulPlaintextLen));
        C_DecryptMessageBegin(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                              ulParameterLen: CK_ULONG, pAssociatedData: CK_BYTE_PTR,
                              ulAssociatedDataLen: CK_ULONG)
            => message_encryption::decrypt_message_begin(
                hSession, MessageParameter::new(pParameter.cast(), ulParameterLen),
                Input::new(pAssociatedData, ulAssociatedDataLen));
        C_DecryptMessageNext(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                             ulParameterLen: CK_ULONG, pCiphertextPart: CK_BYTE_PTR,
                             ulCiphertextPartLen: CK_ULONG, pPlaintextPart: CK_BYTE_PTR,
                             pulPlaintextPartLen: CK_ULONG_PTR, flags: CK_FLAGS)
            => message_encryption::decrypt_message_next(
                hSession, MessageParameter::new(pParameter.cast(), ulParameterLen),
                Input::new(pCiphertextPart, ulCiphertextPartLen),
                Output::new(pPlaintextPart, pulPlaintextPartLen), flags);
        C_MessageDecryptFinal(hSession: CK_SESSION_HANDLE)
            => message_encryption::message_decrypt_final(hSession);

        // Message-based signing and MACing functions
        C_MessageSignInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                          hKey: CK_OBJECT_HANDLE)
            => message::message_sign_init(hSession, Mechanism::new(pMechanism), hKey);
        C_SignMessage(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                      ulParameterLen: CK_ULONG, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
                      pSignature: CK_BYTE_PTR, pulSignatureLen: CK_ULONG_PTR)
            => message::sign_message(hSession, Input::new(pParameter.cast(), ulParameterLen),
                                     Input::new(pData, ulDataLen),
                                     Output::new(pSignature, pulSignatureLen));
        C_SignMessageBegin(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                           ulParameterLen: CK_ULONG)
            => message::sign_message_begin(hSession, Input::new(pParameter.cast(), ulParameterLen));
        C_SignMessageNext(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                          ulParameterLen: CK_ULONG, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
                          pSignature: CK_BYTE_PTR, pulSignatureLen: CK_ULONG_PTR)
            => message::sign_message_next(hSession, Input::new(pParameter.cast(), ulParameterLen),
                                          Input::new(pData, ulDataLen),
                                          Output::new(pSignature, pulSignatureLen));
        C_MessageSignFinal(hSession: CK_SESSION_HANDLE)
            => message::message_sign_final(hSession);

        // Functions for verifying signatures and MACs, message-based
        C_MessageVerifyInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                            hKey: CK_OBJECT_HANDLE)
            => message::message_verify_init(hSession, Mechanism::new(pMechanism), hKey);
        C_VerifyMessage(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                        ulParameterLen: CK_ULONG, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
                        pSignature: CK_BYTE_PTR, ulSignatureLen: CK_ULONG)
            => message::verify_message(hSession, Input::new(pParameter.cast(), ulParameterLen),
                                       Input::new(pData, ulDataLen),
                                       Input::new(pSignature, ulSignatureLen));
        C_VerifyMessageBegin(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                             ulParameterLen: CK_ULONG)
            => message::verify_message_begin(hSession, Input::new(pParameter.cast(), ulParameterLen));
        C_VerifyMessageNext(hSession: CK_SESSION_HANDLE, pParameter: CK_VOID_PTR,
                            ulParameterLen: CK_ULONG, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG,
                            pSignature: CK_BYTE_PTR, ulSignatureLen: CK_ULONG)
            => message::verify_message_next(hSession, Input::new(pParameter.cast(), ulParameterLen),
                                            Input::new(pData, ulDataLen),
                                            Input::new(pSignature, ulSignatureLen));
        C_MessageVerifyFinal(hSession: CK_SESSION_HANDLE)
            => message::message_verify_final(hSession);
    }
    ROWS_3_2: CK_FUNCTION_LIST_3_2 = VERSION_3_2 {
        // Key management functions
        C_EncapsulateKey(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                         hPublicKey: CK_OBJECT_HANDLE, pTemplate: CK_ATTRIBUTE_PTR,
                         ulAttributeCount: CK_ULONG, pCiphertext: CK_BYTE_PTR,
                         pulCiphertextLen: CK_ULONG_PTR, phKey: CK_OBJECT_HANDLE_PTR)
            => key_management::encapsulate_key(hSession, Mechanism::new(pMechanism), hPublicKey,
                                               Template::new(pTemplate, ulAttributeCount),
                                               Output::new(pCiphertext, pulCiphertextLen),
                                               Out::new(phKey));
        C_DecapsulateKey(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                         hPrivateKey: CK_OBJECT_HANDLE, pTemplate: CK_ATTRIBUTE_PTR,
                         ulAttributeCount: CK_ULONG, pCiphertext: CK_BYTE_PTR,
                         ulCiphertextLen: CK_ULONG, phKey: CK_OBJECT_HANDLE_PTR)
            => key_management::decapsulate_key(hSession, Mechanism::new(pMechanism), hPrivateKey,
                                               Template::new(pTemplate, ulAttributeCount),
                                               Input::new(pCiphertext, ulCiphertextLen),
                                               Out::new(phKey));

        // Functions for verifying signatures that are known first
        C_VerifySignatureInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                              hKey: CK_OBJECT_HANDLE, pSignature: CK_BYTE_PTR,
                              ulSignatureLen: CK_ULONG)
            => verifying::verify_signature_init(hSession, Mechanism::new(pMechanism), hKey,
                                                Input::new(pSignature, ulSignatureLen));
        C_VerifySignature(hSession: CK_SESSION_HANDLE, pData: CK_BYTE_PTR, ulDataLen: CK_ULONG)
            => verifying::verify_signature(hSession, Input::new(pData, ulDataLen));
        C_VerifySignatureUpdate(hSession: CK_SESSION_HANDLE, pPart: CK_BYTE_PTR,
                                ulPartLen: CK_ULONG)
            => verifying::verify_signature_update(hSession, Input::new(pPart, ulPartLen));
        C_VerifySignatureFinal(hSession: CK_SESSION_HANDLE)
            => verifying::verify_signature_final(hSession);

        // Session management functions
        C_GetSessionValidationFlags(hSession: CK_SESSION_HANDLE,
                                    type_: CK_SESSION_VALIDATION_FLAGS_TYPE, pFlags: CK_FLAGS_PTR)
            => session::validation_flags(hSession, type_, Out::new(pFlags));

        // Asynchronous function management functions
        C_AsyncComplete(hSession: CK_SESSION_HANDLE, pFunctionName: CK_UTF8CHAR_PTR,
                        pResult: CK_ASYNC_DATA_PTR) => not_offered(hSession);
        C_AsyncGetID(hSession: CK_SESSION_HANDLE, pFunctionName: CK_UTF8CHAR_PTR,
                     pulID: CK_ULONG_PTR) => not_offered(hSession);
        C_AsyncJoin(hSession: CK_SESSION_HANDLE, pFunctionName: CK_UTF8CHAR_PTR, ulID: CK_ULONG,
                    pData: CK_BYTE_PTR, ulData: CK_ULONG) => not_offered(hSession);

        // Key management functions, authenticated
        C_WrapKeyAuthenticated(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                               hWrappingKey: CK_OBJECT_HANDLE, hKey: CK_OBJECT_HANDLE,
                               pAssociatedData: CK_BYTE_PTR, ulAssociatedDataLen: CK_ULONG,
                               pWrappedKey: CK_BYTE_PTR, pulWrappedKeyLen: CK_ULONG_PTR)
            => key_management::wrap_key_authenticated(
                hSession, Mechanism::new(pMechanism), hWrappingKey, hKey,
                Input::new(pAssociatedData, ulAssociatedDataLen),
                Output::new(pWrappedKey, pulWrappedKeyLen));
        C_UnwrapKeyAuthenticated(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR,
                                 hUnwrappingKey: CK_OBJECT_HANDLE, pWrappedKey: CK_BYTE_PTR,
                                 ulWrappedKeyLen: CK_ULONG, pTemplate: CK_ATTRIBUTE_PTR,
                                 ulAttributeCount: CK_ULONG, pAssociatedData: CK_BYTE_PTR,
                                 ulAssociatedDataLen: CK_ULONG, phKey: CK_OBJECT_HANDLE_PTR)
            => key_management::unwrap_key_authenticated(
                hSession, Mechanism::new(pMechanism), hUnwrappingKey,
                Input::new(pWrappedKey, ulWrappedKeyLen),
                Template::new(pTemplate, ulAttributeCount),
                Input::new(pAssociatedData, ulAssociatedDataLen), Out::new(phKey));
    }
}
