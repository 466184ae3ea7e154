// Who is signed in, and the clients that ask with their tokens. It lasts as long as this tab, and no longer.

import { Rest, Refusal } from './homeroom.js';

const KEY = 'homeroom.console';
// A token that ends so soon is renewed first.
const SOON_MILLIS = 5 * 60_000;

export class Session extends EventTarget {
  #held;
  #renewing;

  /** `places` has where each API is: presence, quiz, labs, chat. The internal routes are beside the page. */
  constructor(places) {
    super();
    this.places = { ...places, internal: new URL('..', location.href).href.replace(/\/$/, '') };
    this.internal = new Rest(this.places.internal);
    this.rest = {};
    for (const api of Object.keys(places)) this.rest[api] = new Rest(places[api], () => this.token(api));
    try {
      this.#held = JSON.parse(sessionStorage.getItem(KEY)) ?? undefined;
    } catch {
      this.#held = undefined;
    }
  }

  get name() {
    return this.#held?.name;
  }

  get isSignedIn() {
    return this.#held !== undefined;
  }

  /** `operator` or `teacher`. */
  is(role) {
    return this.#held?.roles.includes(role) ?? false;
  }

  /** Whether there is a token for an API. */
  has(api) {
    return this.#held?.tokens[api] !== undefined;
  }

  async signIn(name, password) {
    const { roles, tokens, name: known } = await this.internal.post('/console/sign-in', { name, password });
    this.#keep({ name: known, roles, tokens: dated(tokens) });
  }

  signOut() {
    const gone = this.has('labs') ? this.rest.labs.post('/api/v1/auth/logout') : undefined;
    gone?.catch(() => {});
    this.#held = undefined;
    sessionStorage.removeItem(KEY);
    this.dispatchEvent(new Event('change'));
  }

  /** The token of an API, renewed where that can be and must be. Without one a `Refusal` that is the end of the session. */
  async token(api) {
    const held = this.#held?.tokens[api];
    if (!held) throw final(new Refusal(401, 'Please sign in again.'));
    if (api === 'chat' && held.until - Date.now() < SOON_MILLIS && this.has('labs')) await this.#renew();
    const { token, until } = this.#held?.tokens[api] ?? held;
    if (until > Date.now()) return token;
    this.expired();
    throw final(new Refusal(401, 'Please sign in again.'));
  }

  /** A token was refused: whoever was signed in has to do so again. */
  expired() {
    if (!this.isSignedIn) return;
    this.#held = undefined;
    sessionStorage.removeItem(KEY);
    this.dispatchEvent(new CustomEvent('change', { detail: 'Please sign in again.' }));
  }

  async #renew() {
    const { token } = this.#held.tokens.labs;
    const asking = new Rest(this.places.internal, () => token);
    this.#renewing ??= asking.post('/console/renew').finally(() => (this.#renewing = undefined));
    try {
      const fresh = dated(await this.#renewing);
      if (this.#held) this.#keep({ ...this.#held, tokens: { ...this.#held.tokens, ...fresh } }, true);
    } catch {
      // The one that is held may still be good.
    }
  }

  #keep(held, is_quiet = false) {
    this.#held = held;
    sessionStorage.setItem(KEY, JSON.stringify(held));
    if (!is_quiet) this.dispatchEvent(new Event('change'));
  }
}

function dated(tokens) {
  const until = ([api, { token, seconds }]) => [api, { token, until: Date.now() + seconds * 1_000 }];
  return Object.fromEntries(Object.entries(tokens).map(until));
}

function final(refusal) {
  return Object.assign(refusal, { isFinal: true });
}
