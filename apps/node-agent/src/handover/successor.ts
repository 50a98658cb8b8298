/**
 * What an agent that is told to end does about the one that follows it on the same node.
 *
 * Rule: while a successor lives and does not serve yet, the old one goes on accepting. Who that is and how far it is, is
 * read from its admin socket alone, so that one that dies meanwhile is no successor any more.
 */
import { request } from 'node:http';
import type { Clock } from '@ambit/core';
import { ownSockets } from './served-sockets.ts';
import type { SharedSocket } from './shared-socket.ts';

const POLL_MS = 100;
const ANSWER_MS = 1_000;
const ANSWER_CHARS_MAX = 4_096;

export interface SuccessorOptions {
  readonly clock: Clock;
  /** Of the agent that ends. */
  readonly adminSocket: SharedSocket;
  readonly deadlineMs: number;
}

/** `none`: nobody follows, or it died. `late`: it does not serve at the deadline. */
export type Succession = 'served' | 'none' | 'late';

/** What an agent that drains holds its readiness by; it is nobody's successor. */
export const DRAINING = 'draining';

/** Resolves when the old agent may stop accepting. Never rejects. */
export async function awaitSuccessor(options: SuccessorOptions): Promise<Succession> {
  const { clock, adminSocket, deadlineMs } = options;
  const deadline = clock.now() + deadlineMs;
  for (;;) {
    const others = ownSockets(adminSocket.path).filter((path) => path !== adminSocket.own);
    const states = await Promise.all(others.map((path) => stateOf(path)));
    if (states.includes('serving')) {
      return 'served';
    }
    if (!states.includes('starting')) {
      return 'none';
    }
    if (clock.now() >= deadline) {
      return 'late';
    }
    await clock.sleep(POLL_MS);
  }
}

/** `gone`: it is dead, or ends itself. */
async function stateOf(socketPath: string): Promise<'serving' | 'starting' | 'gone'> {
  return await new Promise((resolve) => {
    const outgoing = request(
      { socketPath, path: '/ready', agent: false, timeout: ANSWER_MS },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text = (text + part).slice(0, ANSWER_CHARS_MAX);
        });
        response.on('error', () => resolve('gone'));
        response.on('end', () => {
          const isEnding = text.includes(DRAINING);
          resolve(response.statusCode === 200 ? 'serving' : isEnding ? 'gone' : 'starting');
        });
      },
    );
    // It lives and is slow: still on its way.
    outgoing.on('timeout', () => {
      resolve('starting');
      outgoing.destroy();
    });
    outgoing.on('error', () => resolve('gone'));
    outgoing.end();
  });
}
