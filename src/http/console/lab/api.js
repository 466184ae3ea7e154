// The labs' REST routes and the viewer's socket, with the token of who is signed in. The token lives as long as this tab.

const KEY = 'homeroom.labs.token';
// Longer than the server takes to say that it cannot.
const PATIENCE_MILLIS = 20_000;

/** An answer that is a refusal, or none at all: then its status is 0. */
export class Refusal extends Error {
  constructor(status, body, retryAfterSeconds) {
    super(body?.message ?? 'The server cannot be reached.');
    this.status = status;
    this.code = body?.code ?? '';
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export class Labs {
  /** `base` is where the labs are: an origin, and what their paths begin with. */
  constructor(base) {
    this.base = base;
  }

  get isSignedIn() {
    return sessionStorage.getItem(KEY) !== null;
  }

  async signIn(username, password) {
    const { token } = await this.#ask('POST', '/auth/login', { username, password });
    sessionStorage.setItem(KEY, token);
  }

  /** Forgets the token here; on the server too, where it is still good. */
  async signOut() {
    const gone = this.isSignedIn ? this.#ask('POST', '/auth/logout') : undefined;
    sessionStorage.removeItem(KEY);
    await gone?.catch(() => {});
  }

  session(id) {
    return this.#ask('GET', `/sessions/${encodeURIComponent(id)}`);
  }

  wake(id) {
    return this.#ask('PATCH', `/sessions/${encodeURIComponent(id)}`, { state: 'running' });
  }

  /** The socket of a session that runs. */
  socket(session) {
    const url = new URL(this.base + session.status.vnc_url);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('token', sessionStorage.getItem(KEY) ?? '');
    return new WebSocket(url);
  }

  async #ask(method, path, body) {
    const headers = {};
    const token = sessionStorage.getItem(KEY);
    if (token !== null) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const request = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MILLIS) };
    let answer;
    try {
      answer = await fetch(`${this.base}/api/v1${path}`, { ...request, cache: 'no-store', credentials: 'omit' });
    } catch {
      throw new Refusal(0);
    }
    const told = await answer.json().catch(() => undefined);
    if (!answer.ok) throw new Refusal(answer.status, told, Number(answer.headers.get('retry-after')) || undefined);
    return told;
  }
}
