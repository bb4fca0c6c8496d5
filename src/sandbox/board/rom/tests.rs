use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use md5::{Digest, Md5};

use super::{super::image_fixture::blank_flash, *};

struct Bench {
    _dir: tempfile::TempDir,
    loader: Loader,
}

impl Bench {
    fn rom() -> Self {
        let (dir, flash) = blank_flash();
        Bench { _dir: dir, loader: Loader::new(Arc::new(flash), Chip::from_seed(1)) }
    }

    fn stub() -> Self {
        let mut bench = Bench::rom();
        bench.ok(0x05, &words(&[4, 1, 4, 0x4038_0000]));
        bench.block(0x07, 0, b"stub");
        let (_, answers) = bench.raw(0x06, &words(&[0, 0x4038_0000]), 0);
        assert_eq!(answers[1], b"OHAI");
        bench
    }

    fn raw(&mut self, op: u8, data: &[u8], checksum: u8) -> (Outcome, Vec<Vec<u8>>) {
        let mut packet = vec![0, op];
        packet.extend((data.len() as u16).to_le_bytes());
        packet.extend(u32::from(checksum).to_le_bytes());
        packet.extend(data);
        let mut answers = Vec::new();
        let outcome = self.loader.handle(&packet, &mut |answer| answers.push(answer.to_vec()));
        (outcome, answers)
    }

    /// Data of the one answer, which must be a success.
    fn ok(&mut self, op: u8, data: &[u8]) -> Vec<u8> {
        let (_, answers) = self.raw(op, data, 0);
        assert_eq!(answers.len(), 1, "{op:#x}");
        assert_eq!(status(&answers[0], self.loader.kind), [0, 0], "{op:#x}");
        answers[0][8..].to_vec()
    }

    fn refused(&mut self, op: u8, data: &[u8]) -> u8 {
        let (_, answers) = self.raw(op, data, 0);
        let [failed, code] = status(&answers[0], self.loader.kind);
        assert_eq!(failed, 1);
        code
    }

    fn block(&mut self, op: u8, sequence: u32, block: &[u8]) -> [u8; 2] {
        let mut data = words(&[block.len() as u32, sequence, 0, 0]);
        data.extend(block);
        let (_, answers) = self.raw(op, &data, block.iter().fold(0xef, |sum, byte| sum ^ byte));
        status(&answers[0], self.loader.kind)
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn status(answer: &[u8], kind: Kind) -> [u8; 2] {
    let at = answer.len() - if kind == Kind::Rom { 4 } else { 2 };
    [answer[at], answer[at + 1]]
}

fn sample(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * index / 7) as u8).collect()
}

#[test]
fn a_synchronisation_has_eight_answers_and_tells_rom_from_stub() {
    for (mut bench, is_stub) in [(Bench::rom(), false), (Bench::stub(), true)] {
        let (_, answers) = bench.raw(0x08, &SYNC_PATTERN, 0);
        assert_eq!(answers.len(), SYNC_ANSWERS);
        assert_eq!(answers.iter().all(|answer| answer[4..8] == [0; 4]), is_stub);
    }
}

#[test]
fn the_rom_writes_plain_blocks_and_names_the_md5_in_hex() {
    let mut bench = Bench::rom();
    let image = sample(2500);
    bench.ok(0x02, &words(&[4096, 3, 1024, 0x1_0000, 0]));
    for (sequence, block) in image.chunks(1024).enumerate() {
        let mut block = block.to_vec();
        block.resize(1024, 0xff);
        assert_eq!(bench.block(0x03, sequence as u32, &block), [0, 0]);
    }
    let digest = bench.ok(0x13, &words(&[0x1_0000, 2500, 0, 0]));
    assert_eq!(digest[..32], *hex::encode(Md5::digest(&image)).as_bytes());
    assert_eq!(bench.ok(0x0e, &words(&[0x1_0000, 10]))[..10], image[..10]);
    assert_eq!(bench.raw(0x04, &words(&[0]), 0).0, Outcome::Restart);
}

#[test]
fn the_stub_inflates_and_answers_the_md5_in_bytes() {
    let mut bench = Bench::stub();
    let image = sample(150_000);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&image).unwrap();
    let packed = encoder.finish().unwrap();
    let blocks = packed.chunks(1000);
    bench.ok(0x10, &words(&[image.len() as u32, blocks.len() as u32, 1000, 0x2_0000]));
    for (sequence, block) in blocks.enumerate() {
        assert_eq!(bench.block(0x11, sequence as u32, block), [0, 0]);
    }
    bench.ok(0x12, &words(&[1]));
    let digest: [u8; 16] = Md5::digest(&image).into();
    assert_eq!(bench.ok(0x13, &words(&[0x2_0000, image.len() as u32, 0, 0]))[..16], digest);
}

#[test]
fn the_stub_erases_only_what_it_writes() {
    let mut bench = Bench::stub();
    bench.loader.flash.program(0x3000, &[0; 0x3000]).unwrap();
    bench.ok(0x02, &words(&[0x2000, 1, 0x4000, 0x3000]));
    assert_eq!(bench.block(0x03, 0, &[0x55; 0x1000]), [0, 0]);
    assert_eq!(bench.loader.flash.read(0x3000, 1).unwrap(), [0x55]);
    assert_eq!(bench.loader.flash.read(0x4000, 1).unwrap(), [0], "the next sector is still the old one");
    assert_eq!(bench.refused(0x04, &words(&[1])), 0xc8, "the write is not whole");
}

#[test]
fn a_read_goes_block_by_block_and_ends_with_the_digest() {
    let mut bench = Bench::stub();
    let image = sample(5000);
    bench.loader.flash.program(0x1000, &image).unwrap();
    let (_, mut answers) = bench.raw(0xd2, &words(&[0x1000, 5000, 0x1000, 64]), 0);
    let mut got = answers.remove(1);
    assert_eq!(got.len(), 0x1000);
    let mut frames = Vec::new();
    for _ in 0..2 {
        let received = (got.len() as u32).to_le_bytes();
        bench.loader.handle(&received, &mut |answer| frames.push(answer.to_vec()));
        if got.len() < 5000 {
            got.extend(&frames[0]);
        }
    }
    assert_eq!(got, image);
    let digest: [u8; 16] = Md5::digest(&image).into();
    assert_eq!(frames[1], digest);
    assert_eq!(bench.ok(0x0a, &words(&[0x4000_1000])), [0, 0], "commands are served again");
}

#[test]
fn an_abandoned_read_does_not_swallow_the_next_command() {
    let mut bench = Bench::stub();
    bench.raw(0xd2, &words(&[0, 5000, 0x1000, 64]), 0);
    let (_, answers) = bench.raw(0x08, &SYNC_PATTERN, 0);
    assert_eq!(answers.len(), SYNC_ANSWERS);
}

#[test]
fn bad_commands_get_the_codes_of_rom_and_stub() {
    let (mut rom, mut stub) = (Bench::rom(), Bench::stub());
    assert_eq!((rom.refused(0x7f, &[]), stub.refused(0x7f, &[])), (0x05, 0xff), "unknown");
    assert_eq!((rom.refused(0xd0, &[]), rom.refused(0x0a, &[1])), (0x05, 0x05), "the stub's own; too short");
    assert_eq!(rom.refused(0x06, &words(&[0, 0x4038_0000])), 0x06, "nothing was uploaded there");
    assert_eq!(stub.block(0x03, 0, b"early"), [1, 0xc6]);
    let data = [words(&[2, 0, 0, 0]), vec![1, 2]].concat();
    assert_eq!(status(&rom.raw(0x07, &data, 0).1[0], Kind::Rom), [1, 0x07], "checksum");
    let beyond = words(&[0x1000, 1, 0x400, 0x3f_f001, 0]);
    assert_eq!(rom.refused(0x02, &beyond), 0x06, "past the end of the chip");
}

#[test]
fn a_failed_write_is_told_by_the_rom_at_once_and_by_the_stub_with_the_next_answer() {
    let (mut rom, mut stub) = (Bench::rom(), Bench::stub());
    for bench in [&mut rom, &mut stub] {
        bench.ok(0x02, &words(&[0x1000, 4, 0x400, 0]));
        bench.loader.fail_next_write();
    }
    assert_eq!(rom.block(0x03, 0, &[1; 0x400]), [1, 0x08]);
    assert_eq!(stub.block(0x03, 0, &[1; 0x400]), [0, 0]);
    assert_eq!(stub.block(0x03, 1, &[1; 0x400]), [1, 0xc4]);
}

#[test]
fn security_information_names_the_chip_and_the_watchdog_restarts() {
    let mut bench = Bench::rom();
    let info = bench.ok(0x14, &[]);
    assert_eq!(info[..4], [0; 4], "nothing is secured");
    assert_eq!(info[12..16], [5, 0, 0, 0]);
    assert_eq!(bench.loader.watchdog(), None);
    bench.ok(0x09, &words(&[0x6000_80a8, 0x50d8_3aa1, u32::MAX, 0]));
    bench.ok(0x09, &words(&[0x6000_8090, 1 << 31, u32::MAX, 0]));
    assert!(bench.loader.watchdog().is_some());
}

#[test]
fn noise_is_not_answered() {
    let mut bench = Bench::rom();
    for noise in [&b""[..], b"x", b"hello, is anybody there", &[1, 8, 0, 0, 0, 0, 0, 0], &[0, 8, 200, 0, 0, 0, 0, 0]] {
        let mut answers = 0;
        assert_eq!(bench.loader.handle(noise, &mut |_| answers += 1), Outcome::Stay);
        assert_eq!(answers, 0);
    }
}
