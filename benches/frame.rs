//! Frames: encoding a server's, reading a client's; beside both, bare tungstenite.

mod brisk;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use homeroom::websocket::{
    Event, Limits, Opcode, Scratch, Session,
    frame::{begin_text, encode, end_text, text},
};
use std::{
    hint::black_box,
    io::{self, Read, Write},
};
use tungstenite::{
    Bytes,
    protocol::{
        Role, WebSocketConfig, WebSocketContext,
        frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

const LIMITS: Limits = Limits { frame: 1 << 20, message: 1 << 20 };

/// A client's text frame.
fn masked(length: usize) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![0x81];
    match length {
        0..126 => frame.push(0x80 | length as u8),
        126..65_536 => {
            frame.push(0xFE);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(0xFF);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend((0..length).map(|n| b'x' ^ mask[n % 4]));
    frame
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode 256 bytes");
    let payload = [b'x'; 256];
    let mut out = Vec::with_capacity(1_024);
    group.bench_function("into a buffer", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode(&mut out, Opcode::Text, black_box(&payload));
        });
    });
    group.bench_function("in place", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mark = begin_text(&mut out);
            out.extend_from_slice(black_box(&payload));
            end_text(&mut out, mark);
        });
    });
    group.bench_function("to be shared", |bencher| bencher.iter(|| text(black_box(&payload))));
    let shared = Bytes::copy_from_slice(&payload);
    group.bench_function("tungstenite's Frame, into a buffer", |bencher| {
        bencher.iter(|| {
            out.clear();
            Frame::message(black_box(&shared).clone(), OpCode::Data(Data::Text), true).format(&mut out)
        });
    });
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read a text frame");
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    for length in [16, 64, 256, 4_096] {
        let frame = masked(length);
        let mut session = Session::new();
        group.bench_function(format!("whole, {length} bytes"), |bencher| {
            bencher.iter(|| session.feed(&mut scratch, black_box(&frame), &LIMITS, &mut out, &mut seen));
        });
    }
    let frame = masked(256);
    let mut session = Session::new();
    group.bench_function("in two pieces, 256 bytes", |bencher| {
        bencher.iter(|| {
            let _first = session.feed(&mut scratch, black_box(&frame[..100]), &LIMITS, &mut out, &mut seen);
            session.feed(&mut scratch, black_box(&frame[100..]), &LIMITS, &mut out, &mut seen)
        });
    });
    for (name, config) in [("its defaults", WebSocketConfig::default()), ("small buffers", small())] {
        let mut context = WebSocketContext::new(Role::Server, Some(config));
        group.bench_function(format!("bare tungstenite, {name}, 256 bytes"), |bencher| {
            bencher.iter(|| context.read(&mut Pipe(black_box(&frame))).map(|message| message.len()).ok());
        });
    }
    let length = 16 << 20;
    let frame = masked(length);
    let limits = Limits { frame: length, message: length };
    let mut session = Session::new();
    group.throughput(Throughput::Bytes(length as u64)).sample_size(10);
    group.bench_function("in 16 KiB pieces, 16 MiB", |bencher| {
        bencher.iter(|| {
            frame.chunks(16_384).for_each(|piece| {
                let _fed = session.feed(&mut scratch, piece, &limits, &mut out, &mut seen);
            });
        });
    });
    group.finish();
}

fn seen(event: Event<'_>, _: &mut Vec<u8>) {
    black_box(event);
}

fn small() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(512).write_buffer_size(0)
}

struct Pipe<'a>(&'a [u8]);

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

criterion_group! { name = benches; config = brisk::brisk(); targets = encoding, reading }
criterion_main!(benches);
