//! The files that pages of the console are made of, embedded in the program: our own under `lab/`, and noVNC's under `novnc/`, which is
//! licensed under the Mozilla Public License 2.0 and kept as it was published.

/// A file that is served as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    /// Its name, from this folder.
    pub(super) name: &'static str,
    /// All of it.
    pub(super) bytes: &'static [u8],
}

/// The version of noVNC.
#[cfg(test)]
pub(super) const NOVNC: &str = "1.7.0";

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        &[$(Asset { name: $name, bytes: include_bytes!($name) }),*]
    };
}

/// All that a page may ask for.
pub(super) const ASSETS: &[Asset] = assets![
    "lab/lab.css",
    "lab/desktop.svg",
    "lab/page.js",
    "lab/api.js",
    "lab/screen.js",
    "lab/view.js",
    "lab/toolbar.js",
    "novnc/LICENSE.txt",
    "novnc/AUTHORS",
    "novnc/docs/LICENSE.MPL-2.0",
    "novnc/docs/LICENSE.BSD-3-Clause",
    "novnc/docs/LICENSE.BSD-2-Clause",
    "novnc/vendor/pako/LICENSE",
    "novnc/core/base64.js",
    "novnc/core/crypto/aes.js",
    "novnc/core/crypto/bigint.js",
    "novnc/core/crypto/crypto.js",
    "novnc/core/crypto/des.js",
    "novnc/core/crypto/dh.js",
    "novnc/core/crypto/md5.js",
    "novnc/core/crypto/rsa.js",
    "novnc/core/decoders/copyrect.js",
    "novnc/core/decoders/h264.js",
    "novnc/core/decoders/hextile.js",
    "novnc/core/decoders/jpeg.js",
    "novnc/core/decoders/raw.js",
    "novnc/core/decoders/rre.js",
    "novnc/core/decoders/tight.js",
    "novnc/core/decoders/tightpng.js",
    "novnc/core/decoders/zlib.js",
    "novnc/core/decoders/zrle.js",
    "novnc/core/deflator.js",
    "novnc/core/display.js",
    "novnc/core/encodings.js",
    "novnc/core/inflator.js",
    "novnc/core/input/domkeytable.js",
    "novnc/core/input/fixedkeys.js",
    "novnc/core/input/gesturehandler.js",
    "novnc/core/input/keyboard.js",
    "novnc/core/input/keysym.js",
    "novnc/core/input/keysymdef.js",
    "novnc/core/input/util.js",
    "novnc/core/input/vkeys.js",
    "novnc/core/input/xtscancodes.js",
    "novnc/core/ra2.js",
    "novnc/core/rfb.js",
    "novnc/core/util/browser.js",
    "novnc/core/util/cursor.js",
    "novnc/core/util/element.js",
    "novnc/core/util/events.js",
    "novnc/core/util/eventtarget.js",
    "novnc/core/util/int.js",
    "novnc/core/util/logging.js",
    "novnc/core/util/strings.js",
    "novnc/core/websock.js",
    "novnc/vendor/pako/lib/utils/common.js",
    "novnc/vendor/pako/lib/zlib/adler32.js",
    "novnc/vendor/pako/lib/zlib/crc32.js",
    "novnc/vendor/pako/lib/zlib/deflate.js",
    "novnc/vendor/pako/lib/zlib/inffast.js",
    "novnc/vendor/pako/lib/zlib/inflate.js",
    "novnc/vendor/pako/lib/zlib/inftrees.js",
    "novnc/vendor/pako/lib/zlib/messages.js",
    "novnc/vendor/pako/lib/zlib/trees.js",
    "novnc/vendor/pako/lib/zlib/zstream.js",
];

impl Asset {
    /// Its media type.
    pub(super) fn kind(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            Some(_) | None => "text/plain; charset=utf-8",
        }
    }

    /// Whether it is a module, which pages may begin to fetch before the one that imports it is there.
    pub(super) fn is_module(&self) -> bool {
        self.name.ends_with(".js")
    }
}
