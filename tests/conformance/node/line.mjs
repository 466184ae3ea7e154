// A member of a classroom by the console's client module: a line for each of its states, until it is killed.
// node line.mjs BASE CLASSROOM TOKEN

import { WebSocket } from 'ws';
import { presence } from '../../../src/console/homeroom.js';

globalThis.WebSocket = WebSocket;
const [base, classroom, token] = process.argv.slice(2);
const line = presence(base, () => token, { classroom, label: 'node' });
line.addEventListener('state', ({ detail }) => console.log(JSON.stringify(detail)));
line.start();
