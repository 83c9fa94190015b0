//! What callers may rely on for their output buffers, with guard bytes around each.

use std::cell::Cell;

use super::*;

/// Room with guard bytes on both sides, and a length that lies at an odd address.
struct Caller {
    memory: [u8; 32],
    len: [u8; 9],
}

const GUARD: u8 = 0xA5;
const START: usize = 8;

impl Caller {
    fn with_room(room: CK_ULONG) -> Self {
        let mut caller = Self { memory: [GUARD; 32], len: [GUARD; 9] };
        caller.len[1..].copy_from_slice(&room.to_ne_bytes());
        caller
    }

    fn output(&mut self) -> Output<'_> {
        // SAFETY: tests give at most 16 bytes of room, or a room that is refused unread.
        unsafe { Output::new(self.memory.as_mut_ptr().add(START), self.len_pointer()) }
    }

    fn query(&mut self) -> Output<'_> {
        // SAFETY: NULL asks for the length.
        unsafe { Output::new(ptr::null_mut(), self.len_pointer()) }
    }

    fn without_len(&mut self) -> Output<'_> {
        // SAFETY: NULL for the length is refused.
        unsafe { Output::new(self.memory.as_mut_ptr(), ptr::null_mut()) }
    }

    fn len_pointer(&mut self) -> *mut CK_ULONG {
        // SAFETY: one byte into an array of nine.
        unsafe { self.len.as_mut_ptr().add(1) }.cast()
    }

    fn len(&self) -> CK_ULONG {
        CK_ULONG::from_ne_bytes(self.len[1..].try_into().expect("eight bytes"))
    }

    fn assert_holds(&self, bytes: &[u8]) {
        assert_eq!(&self.memory[START..START + bytes.len()], bytes);
        let around = self.memory[..START].iter().chain(&self.memory[START + bytes.len()..]);
        assert!(around.copied().all(|byte| byte == GUARD), "a guard byte was written");
        assert_eq!(self.len[0], GUARD, "the byte before the length was written");
    }
}

fn rv(result: Result<Delivery>) -> u64 {
    result.expect_err("to be refused").ck_rv()
}

fn not_asked<T>() -> Result<T> {
    panic!("nothing was to be produced")
}

#[test]
fn a_query_tells_the_length_and_produces_nothing() {
    let mut caller = Caller::with_room(0);
    assert_eq!(caller.query().fill(5, not_asked).expect("told"), Delivery::LengthOnly);
    assert_eq!(caller.len(), 5);
    caller.assert_holds(b"");
}

#[test]
fn a_query_does_not_look_at_the_old_length() {
    let mut caller = Caller::with_room(CK_ULONG::MAX);
    assert_eq!(caller.query().fill(5, not_asked).expect("told"), Delivery::LengthOnly);
    assert_eq!(caller.len(), 5);
}

#[test]
fn too_little_room_is_told_before_anything_is_produced() {
    let mut caller = Caller::with_room(4);
    assert_eq!(rv(caller.output().fill(5, not_asked)), CKR_BUFFER_TOO_SMALL);
    assert_eq!(caller.len(), 5);
    caller.assert_holds(b"");
}

#[test]
fn exact_room_is_enough() {
    let mut caller = Caller::with_room(5);
    let delivery = caller.output().fill(5, || Ok(b"bytes".to_vec())).expect("written");
    assert_eq!(delivery, Delivery::Written);
    assert_eq!(caller.len(), 5);
    caller.assert_holds(b"bytes");
}

#[test]
fn a_result_below_its_bound_tells_its_own_length() {
    let mut caller = Caller::with_room(16);
    caller.output().fill(16, || Ok(b"abc".to_vec())).expect("written");
    assert_eq!(caller.len(), 3);
    caller.assert_holds(b"abc");
}

#[test]
fn a_result_above_its_bound_is_our_fault_and_not_written() {
    let mut caller = Caller::with_room(16);
    let told = rv(caller.output().fill(2, || Ok(b"abc".to_vec())));
    assert_eq!(told, cryptoki_sys::CKR_GENERAL_ERROR);
    assert_eq!(caller.len(), 16);
    caller.assert_holds(b"");
}

#[test]
fn a_failure_leaves_buffer_and_length_alone() {
    let mut caller = Caller::with_room(16);
    let failing = || Err(Error::new(cryptoki_sys::CKR_DEVICE_ERROR, "test"));
    assert_eq!(rv(caller.output().fill(2, failing)), cryptoki_sys::CKR_DEVICE_ERROR);
    assert_eq!(caller.len(), 16);
    caller.assert_holds(b"");
}

#[test]
fn without_a_length_pointer_nothing_is_produced() {
    let mut caller = Caller::with_room(16);
    assert_eq!(rv(caller.without_len().fill(2, not_asked)), CKR_ARGUMENTS_BAD);
    assert_eq!(rv(caller.without_len().fill_once(&mut None, 2, 0, not_asked)), CKR_ARGUMENTS_BAD);
    caller.assert_holds(b"");
}

#[test]
fn a_room_that_no_memory_has_is_refused() {
    for room in [CK_ULONG::MAX, CK_ULONG::MAX / 2 + 1] {
        let mut caller = Caller::with_room(room);
        assert_eq!(rv(caller.output().fill(2, not_asked)), CKR_ARGUMENTS_BAD);
        assert_eq!(caller.len(), room);
        caller.assert_holds(b"");
    }
}

#[test]
fn what_only_the_result_tells_is_produced_once_for_all_retries() {
    let runs = Cell::new(0);
    let produce = || {
        runs.set(runs.get() + 1);
        Ok(Zeroizing::new(b"plain".to_vec()))
    };
    let mut made = None;

    let mut caller = Caller::with_room(0);
    let asked = caller.query().fill_once(&mut made, 16, 0, produce).expect("told");
    assert_eq!((asked, caller.len(), runs.get()), (Delivery::LengthOnly, 16, 0));

    let mut caller = Caller::with_room(4);
    assert_eq!(rv(caller.output().fill_once(&mut made, 16, 0, produce)), CKR_BUFFER_TOO_SMALL);
    assert_eq!((caller.len(), runs.get()), (5, 1));
    caller.assert_holds(b"");

    let asked = caller.query().fill_once(&mut made, 16, 0, produce).expect("told");
    assert_eq!((asked, caller.len(), runs.get()), (Delivery::LengthOnly, 5, 1));

    let mut caller = Caller::with_room(5);
    let delivery = caller.output().fill_once(&mut made, 16, 0, produce).expect("written");
    assert_eq!((delivery, caller.len(), runs.get()), (Delivery::Written, 5, 1));
    caller.assert_holds(b"plain");
    assert!(made.is_none(), "the result stayed behind");
}

#[test]
fn an_output_knows_the_input_it_overwrites() {
    let mut caller = Caller::with_room(4);
    // SAFETY: reads the array that the output also points into; nothing is written meanwhile.
    let view = |from: usize, to: usize, at: *const u8| unsafe {
        std::slice::from_raw_parts(at.add(from), to - from)
    };
    let memory = caller.memory.as_ptr();
    let len = caller.len.as_ptr();
    let output = caller.output();
    assert!(output.touches(view(8, 12, memory)), "the same");
    assert!(output.touches(view(0, 9, memory)), "reaching in from before");
    assert!(output.touches(view(11, 20, memory)), "reaching in from behind");
    assert!(output.touches(view(9, 10, memory)), "inside");
    assert!(!output.touches(view(0, 8, memory)), "before");
    assert!(!output.touches(view(12, 20, memory)), "behind");
    assert!(!output.touches(view(9, 9, memory)), "empty");
    assert!(output.touches(view(0, 9, len)), "the length's own memory");
}

#[test]
fn a_known_length_is_filled_in_pieces() {
    let mut memory = [GUARD; 12];
    // SAFETY: eight bytes inside an array of twelve.
    let room = unsafe { Room::new(memory.as_mut_ptr().add(2), 8) };
    room.fill(|len, sink| {
        assert_eq!(len, 8);
        sink(b"rand");
        sink(b"");
        sink(b"omly");
        Ok(())
    })
    .expect("filled");
    assert_eq!(&memory, &[0xA5, 0xA5, b'r', b'a', b'n', b'd', b'o', b'm', b'l', b'y', 0xA5, 0xA5]);
}

#[test]
fn a_known_length_is_never_overrun_nor_left_short() {
    for pieces in [&b"abcde"[..], b"abc"] {
        let mut memory = [GUARD; 8];
        // SAFETY: four bytes inside an array of eight.
        let room = unsafe { Room::new(memory.as_mut_ptr().add(2), 4) };
        let told = room.fill(|_, sink| {
            sink(pieces);
            Ok(())
        });
        let told = told.expect_err("not exact").ck_rv();
        assert_eq!(told, cryptoki_sys::CKR_GENERAL_ERROR);
        assert_eq!((memory[..2].to_vec(), memory[6..].to_vec()), (vec![GUARD; 2], vec![GUARD; 2]));
    }
}

#[test]
fn a_known_length_at_null_must_be_zero() {
    // SAFETY: NULL is refused, or has no bytes.
    let fill = |len| unsafe { Room::new(ptr::null_mut(), len) }.fill(|_, _| Ok(()));
    fill(0).expect("nothing to fill");
    assert_eq!(fill(1).expect_err("NULL").ck_rv(), CKR_ARGUMENTS_BAD);
    assert_eq!(fill(CK_ULONG::MAX).expect_err("huge").ck_rv(), CKR_ARGUMENTS_BAD);
}
