//! uWebSockets, through the C interface of the library that the package `socketify` brings: its own loop, topics and HTTP.
//!
//! `UWS_LIBRARY` names that library. No Python runs.

use libloading::Library;
use peers::{Guard, POLICY, SUCCESS, delivered, published};
use std::{
    cell::Cell,
    env,
    ffi::{c_char, c_int, c_uint, c_ushort, c_void},
    io,
    ptr::null,
    slice,
};

const CLEAR: c_int = 0;
const TEXT: c_int = 1;
const PING: c_int = 9;
/// Seconds; uWebSockets sends Pings so that none comes to it.
const IDLE: c_ushort = 120;
const LARGEST_BYTES: c_uint = 1 << 16;
const BACKPRESSURE_BYTES: c_uint = 16 << 20;

type Opaque = *mut c_void;
type Bytes = *const c_char;
type Method = extern "C" fn(Opaque, Opaque, Opaque);
type Handler = extern "C" fn(Opaque, Opaque);
type Message = extern "C" fn(Opaque, Bytes, usize, c_int, Opaque);

/// `uws_socket_behavior_t`.
#[repr(C)]
struct Behavior {
    compression: c_int,
    max_payload_length: c_uint,
    idle_timeout: c_ushort,
    max_backpressure: c_uint,
    close_on_backpressure_limit: bool,
    reset_idle_timeout_on_send: bool,
    send_pings_automatically: bool,
    max_lifetime: c_ushort,
    upgrade: Option<extern "C" fn(Opaque, Opaque, Opaque, Opaque)>,
    open: Option<Handler>,
    message: Option<Message>,
    drain: Option<Handler>,
    ping: Option<extern "C" fn(Opaque, Bytes, usize, Opaque)>,
    pong: Option<extern "C" fn(Opaque, Bytes, usize, Opaque)>,
    close: Option<extern "C" fn(Opaque, c_int, Bytes, usize, Opaque)>,
    subscription: Option<extern "C" fn(Opaque, Bytes, usize, c_int, c_int, Opaque)>,
}

/// `us_socket_context_options_t`: nothing of it, without TLS.
#[repr(C)]
#[derive(Clone, Copy)]
struct ContextOptions {
    names: [*const c_char; 6],
    low_memory: c_int,
}

/// `uws_app_listen_config_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct ListenConfig {
    port: c_int,
    host: *const c_char,
    options: c_int,
}

macro_rules! calls {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The calls that are used, by the library's own names.
        #[derive(Clone, Copy)]
        struct Calls {
            // SAFETY: whoever calls one keeps to the header that the package brings.
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Calls {
            fn of(library: &Library) -> Result<Calls, libloading::Error> {
                // SAFETY: the types are those of the header that the package brings (`native.py`, libsocketify.h).
                unsafe { Ok(Calls { $($name: *library.get(concat!("uws_", stringify!($name)).as_bytes())?,)* }) }
            }
        }
    };
}

calls! {
    create_app(c_int, ContextOptions) -> Opaque;
    app_post(c_int, Opaque, Bytes, Method, Opaque);
    app_listen_with_config(c_int, Opaque, ListenConfig, extern "C" fn(Opaque, ListenConfig, Opaque), Opaque);
    app_run(c_int, Opaque);
    ws(c_int, Opaque, Bytes, Behavior, Opaque);
    publish(c_int, Opaque, Bytes, usize, Bytes, usize, c_int, bool) -> bool;
    num_subscribers(c_int, Opaque, Bytes, usize) -> c_uint;
    req_get_parameter(Opaque, c_ushort, *mut Bytes) -> usize;
    req_get_header(Opaque, Bytes, usize, *mut Bytes) -> usize;
    res_upgrade(c_int, Opaque, Opaque, Bytes, usize, Bytes, usize, Bytes, usize, Opaque);
    res_on_data(c_int, Opaque, extern "C" fn(Opaque, Bytes, usize, bool, Opaque), Opaque);
    res_on_aborted(c_int, Opaque, Handler, Opaque);
    res_cork(c_int, Opaque, Handler, Opaque);
    res_write_status(c_int, Opaque, Bytes, usize);
    res_write_header(c_int, Opaque, Bytes, usize, Bytes, usize);
    res_end(c_int, Opaque, Bytes, usize, bool);
    ws_get_user_data(c_int, Opaque) -> Opaque;
    ws_send(c_int, Opaque, Bytes, usize, c_int) -> c_int;
    ws_subscribe(c_int, Opaque, Bytes, usize) -> bool;
    ws_end(c_int, Opaque, c_int, Bytes, usize);
}

/// What every handler gets; lives as long as the process.
struct School {
    calls: Calls,
    app: Opaque,
    guard: Guard,
    next: Cell<u64>,
}

/// Of one connection.
#[derive(Default)]
struct Student {
    subject: Option<Box<str>>,
}

/// Of one publish under way.
struct Publish {
    school: &'static School,
    classroom: Vec<u8>,
    body: Vec<u8>,
    answer: Option<String>,
}

fn main() -> io::Result<()> {
    let path = env::var("UWS_LIBRARY").map_err(io::Error::other)?;
    // SAFETY: loading runs the library's own initialisers and nothing else. It is never unloaded.
    let library: &'static Library = Box::leak(Box::new(unsafe { Library::new(path) }.map_err(io::Error::other)?));
    let calls = Calls::of(library).map_err(io::Error::other)?;
    // SAFETY: no TLS, so no option is read.
    let app = unsafe { (calls.create_app)(CLEAR, ContextOptions { names: [null(); 6], low_memory: 0 }) };
    let school: &'static School = Box::leak(Box::new(School { calls, app, guard: Guard::from_env()?, next: Cell::new(1) }));
    let to_all = (&raw const *school).cast_mut().cast();
    let config = ListenConfig { port: c_int::from(peers::port()?), host: c"127.0.0.1".as_ptr(), options: 0 };
    // SAFETY: the app lives on, the strings are static, and `to_all` is what every handler takes it for.
    unsafe {
        (calls.ws)(CLEAR, app, c"/ws".as_ptr(), behavior(attend), to_all);
        (calls.ws)(CLEAR, app, c"/echo".as_ptr(), behavior(echo), to_all);
        (calls.app_post)(CLEAR, app, c"/api/v1/classrooms/:id/events".as_ptr(), publish, to_all);
        (calls.app_listen_with_config)(CLEAR, app, config, listening, to_all);
        (calls.app_run)(CLEAR, app);
    }
    Err(io::Error::other("the loop ended: is the port taken?"))
}

fn behavior(message: Message) -> Behavior {
    Behavior {
        compression: 0,
        max_payload_length: LARGEST_BYTES,
        idle_timeout: IDLE,
        max_backpressure: BACKPRESSURE_BYTES,
        close_on_backpressure_limit: false,
        reset_idle_timeout_on_send: false,
        send_pings_automatically: true,
        max_lifetime: 0,
        upgrade: Some(upgrade),
        open: None,
        message: Some(message),
        drain: None,
        ping: None,
        pong: None,
        close: Some(close),
        subscription: None,
    }
}

extern "C" fn listening(socket: Opaque, _: ListenConfig, _: Opaque) {
    if socket.is_null() {
        eprintln!("the port is taken");
    }
}

/// The school of a handler's data.
fn school(data: Opaque) -> &'static School {
    // SAFETY: `main` gave it, and it is never freed.
    unsafe { &*data.cast::<School>() }
}

/// What a handler was given; nothing where there is none.
fn bytes<'a>(start: Bytes, length: usize) -> &'a [u8] {
    if start.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: the library gives that many bytes, which live until the handler returns; no caller keeps them.
    unsafe { slice::from_raw_parts(start.cast(), length) }
}

fn text(words: &[u8]) -> (Bytes, usize) {
    (words.as_ptr().cast(), words.len())
}

extern "C" fn upgrade(response: Opaque, request: Opaque, context: Opaque, data: Opaque) {
    let calls = &school(data).calls;
    let header = |name: &[u8]| {
        let mut start = null();
        let (name, length) = text(name);
        // SAFETY: the request lives until this handler returns.
        let length = unsafe { (calls.req_get_header)(request, name, length, &raw mut start) };
        text(bytes(start, length))
    };
    let (key, key_length) = header(b"sec-websocket-key");
    let (protocol, protocol_length) = header(b"sec-websocket-protocol");
    let (extensions, extensions_length) = header(b"sec-websocket-extensions");
    let student: Opaque = Box::into_raw(Box::<Student>::default()).cast();
    // SAFETY: `close` frees the student.
    unsafe {
        (calls.res_upgrade)(
            CLEAR,
            response,
            student,
            key,
            key_length,
            protocol,
            protocol_length,
            extensions,
            extensions_length,
            context,
        );
    }
}

fn student<'a>(calls: &Calls, socket: Opaque) -> &'a mut Student {
    // SAFETY: `upgrade` gave it, `close` frees it, and one handler runs at a time.
    unsafe { &mut *(calls.ws_get_user_data)(CLEAR, socket).cast::<Student>() }
}

extern "C" fn close(socket: Opaque, _: c_int, _: Bytes, _: usize, data: Opaque) {
    // SAFETY: `upgrade` made it, and a connection closes once.
    drop(unsafe { Box::from_raw((school(data).calls.ws_get_user_data)(CLEAR, socket).cast::<Student>()) });
}

extern "C" fn attend(socket: Opaque, message: Bytes, length: usize, _: c_int, data: Opaque) {
    let School { calls, guard, .. } = school(data);
    let student = student(calls, socket);
    if student.subject.is_some() {
        return;
    }
    let Some(admitted) = guard.admit(bytes(message, length)) else {
        // SAFETY: an open socket.
        return unsafe { (calls.ws_end)(CLEAR, socket, c_int::from(POLICY), null(), 0) };
    };
    student.subject = Some(admitted.subject);
    let (classroom, classroom_length) = text(admitted.classroom.as_bytes());
    let (success, success_length) = text(SUCCESS.as_bytes());
    // SAFETY: an open socket; what is passed is copied.
    unsafe {
        (calls.ws_subscribe)(CLEAR, socket, classroom, classroom_length);
        (calls.ws_send)(CLEAR, socket, success, success_length, TEXT);
        (calls.ws_send)(CLEAR, socket, c"".as_ptr(), 0, PING);
    }
}

extern "C" fn echo(socket: Opaque, message: Bytes, length: usize, kind: c_int, data: Opaque) {
    // SAFETY: an open socket; what is passed is copied.
    unsafe { (school(data).calls.ws_send)(CLEAR, socket, message, length, kind) };
}

extern "C" fn publish(response: Opaque, request: Opaque, data: Opaque) {
    let school = school(data);
    let mut start = null();
    // SAFETY: the request lives until this handler returns, and its parts are copied.
    let length = unsafe { (school.calls.req_get_parameter)(request, 0, &raw mut start) };
    let publish = Publish { school, classroom: bytes(start, length).to_vec(), body: Vec::new(), answer: None };
    let publish: Opaque = Box::into_raw(Box::new(publish)).cast();
    // SAFETY: `body` frees it with the last part, or `aborted` before that: never both.
    unsafe {
        (school.calls.res_on_aborted)(CLEAR, response, aborted, publish);
        (school.calls.res_on_data)(CLEAR, response, body, publish);
    }
}

extern "C" fn aborted(_: Opaque, publish: Opaque) {
    // SAFETY: `publish` made it.
    drop(unsafe { Box::from_raw(publish.cast::<Publish>()) });
}

extern "C" fn body(response: Opaque, chunk: Bytes, length: usize, is_last: bool, publish: Opaque) {
    // SAFETY: `publish` made it, and nobody else has it now.
    let under_way = unsafe { &mut *publish.cast::<Publish>() };
    under_way.body.extend_from_slice(bytes(chunk, length));
    if !is_last {
        return;
    }
    let School { calls, app, next, .. } = under_way.school;
    if let Some((event, number)) = delivered(&under_way.body, next.replace(next.get() + 1)) {
        let ((room, room_length), (event, event_length)) = (text(&under_way.classroom), text(event.as_bytes()));
        // SAFETY: the app lives on; what is passed is copied.
        let members = unsafe {
            (calls.publish)(CLEAR, *app, room, room_length, event, event_length, TEXT, false);
            (calls.num_subscribers)(CLEAR, *app, room, room_length)
        };
        under_way.answer = Some(published(number, members as usize));
    }
    // SAFETY: an open response; `answer` runs before this returns.
    unsafe { (calls.res_cork)(CLEAR, response, answer, publish) };
    // An answered response is never aborted.
    aborted(response, publish);
}

extern "C" fn answer(response: Opaque, publish: Opaque) {
    // SAFETY: `body` has it and waits.
    let Publish { school, answer, .. } = unsafe { &*publish.cast::<Publish>() };
    let calls = &school.calls;
    let (said, said_length) = text(answer.as_deref().unwrap_or_default().as_bytes());
    let (name, name_length) = text(b"content-type");
    let (json, json_length) = text(b"application/json");
    // SAFETY: an open response; what is passed is copied.
    unsafe {
        if answer.is_none() {
            let (status, status_length) = text(b"400 Bad Request");
            (calls.res_write_status)(CLEAR, response, status, status_length);
        }
        (calls.res_write_header)(CLEAR, response, name, name_length, json, json_length);
        (calls.res_end)(CLEAR, response, said, said_length, false);
    }
}
