// One desktop's screen: noVNC, and what it does not do by itself.

import RFB from '../novnc/core/rfb.js';

const CONTROL_ALT_SHIFT = [
  [0xffe3, 'ControlLeft'], [0xffe4, 'ControlRight'],
  [0xffe9, 'AltLeft'], [0xffea, 'AltRight'],
  [0xffe1, 'ShiftLeft'], [0xffe2, 'ShiftRight'],
];

/** Tells of itself by events: `shown`, `over` (code, reason), `locked` (types), `refused` (reason), `clipboard` (text). */
export class Screen extends EventTarget {
  #place;
  #rfb;
  #scaling = 'fit';

  /** Shows itself in an element. */
  constructor(place) {
    super();
    this.#place = place;
  }

  get isThere() {
    return this.#rfb !== undefined;
  }

  /** Watches through a socket that has just been opened. What was seen before goes. */
  watch(socket) {
    this.leave();
    this.#place.replaceChildren();
    // noVNC knows no codes: this hears of the end before it does.
    socket.addEventListener('close', (event) => over(event.code, event.reason));
    const rfb = new RFB(this.#place, socket, { shared: true });
    this.#rfb = rfb;
    rfb.background = 'transparent';
    rfb.qualityLevel = 7;
    rfb.compressionLevel = 2;
    this.scaling = this.#scaling;
    const tell = (name, detail) => this.#rfb === rfb && this.dispatchEvent(new CustomEvent(name, { detail }));
    rfb.addEventListener('connect', () => tell('shown'));
    rfb.addEventListener('credentialsrequired', (event) => tell('locked', event.detail.types));
    rfb.addEventListener('clipboard', (event) => tell('clipboard', event.detail.text));
    rfb.addEventListener('securityfailure', (event) => tell('refused', event.detail.reason));
    const over = (code, reason) => {
      if (this.#rfb !== rfb) return;
      this.#keepPicture();
      this.#rfb = undefined;
      this.dispatchEvent(new CustomEvent('over', { detail: { code, reason } }));
    };
    // It may be done with the stream before the socket is.
    rfb.addEventListener('disconnect', () => over(1006, ''));
  }

  /** Watches no more, and says nothing of that. */
  leave() {
    const rfb = this.#rfb;
    this.#rfb = undefined;
    rfb?.disconnect();
  }

  clear() {
    this.leave();
    this.#place.replaceChildren();
  }

  unlock(credentials) {
    this.#rfb?.sendCredentials(credentials);
  }

  focus() {
    this.#rfb?.focus({ preventScroll: true });
  }

  /** Lets go of the keyboard: keys that are down are let up there, since their ends will not be heard. */
  release() {
    for (const [keysym, code] of CONTROL_ALT_SHIFT) this.#rfb?.sendKey(keysym, code, false);
    this.#rfb?.blur();
  }

  sendThreeKeys() {
    this.#rfb?.sendCtrlAltDel();
    this.focus();
  }

  sendText(text) {
    this.#rfb?.clipboardPasteFrom(text);
  }

  /** `fit`: as large as the window lets it be. `actual`: dot for dot. `match`: the desktop itself gets the window's size, where it can. */
  set scaling(scaling) {
    this.#scaling = scaling;
    const rfb = this.#rfb;
    if (rfb === undefined) return;
    rfb.scaleViewport = scaling !== 'actual';
    rfb.resizeSession = scaling === 'match';
    rfb.clipViewport = scaling === 'actual';
    rfb.dragViewport = false;
  }

  /** noVNC takes its canvas away when it ends; what was seen last stays, as a picture. */
  #keepPicture() {
    const canvas = this.#place.querySelector('canvas');
    if (canvas === null || canvas.width === 0) return;
    const picture = canvas.cloneNode();
    picture.getContext('2d').drawImage(canvas, 0, 0);
    const frame = document.createElement('div');
    frame.className = 'picture';
    frame.append(picture);
    queueMicrotask(() => this.#rfb === undefined && this.#place.replaceChildren(frame));
  }
}
