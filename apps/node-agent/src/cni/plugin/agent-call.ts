/**
 * One question to the agent over its socket, within a deadline, asked again while nobody listens there.
 *
 * Three outcomes, which the caller must tell apart: an answer, a refusal with its reason, and silence.
 */
import { request } from 'node:http';
import { type Clock, systemClock } from '@ambit/core';

const ANSWER_BYTES_MAX = 64 * 1024;
/** An agent that restarts is away for less than this many of them. */
const RETRY_MS = 200;

export type AgentAnswer =
  | { readonly kind: 'answer'; readonly body: unknown }
  /** The agent has decided. `isFinal`: trying again changes nothing. */
  | { readonly kind: 'refused'; readonly isFinal: boolean; readonly reason: string }
  | { readonly kind: 'silent'; readonly reason: string };

export interface AgentQuestion {
  readonly socketPath: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  /** Until the answer has come. */
  readonly deadlineMs: number;
  /** How long to try while nothing listens; 0 asks once. */
  readonly absentMs: number;
  readonly clock?: Clock;
}

/** Never throws. */
export async function askAgent(question: AgentQuestion): Promise<AgentAnswer> {
  const { clock = systemClock, deadlineMs, absentMs } = question;
  const startedAt = clock.now();
  while (true) {
    const passedMs = clock.now() - startedAt;
    try {
      return await ask(question, Math.max(1, deadlineMs - passedMs));
    } catch (error) {
      const reason = reasonOf(error);
      const isAbsent = error instanceof Error && 'code' in error && isAbsence(error.code);
      const left = Math.min(absentMs, deadlineMs) - (clock.now() - startedAt);
      if (!isAbsent || left <= 0) {
        return { kind: 'silent', reason };
      }
      await clock.sleep(Math.min(RETRY_MS, left));
    }
  }
}

/** Nothing of the question has been read by anybody. */
function isAbsence(code: unknown): boolean {
  return code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'EAGAIN';
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  if ('code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')) {
    return 'nothing listens on its socket';
  }
  return error.name === 'TimeoutError' ? 'no answer in time' : error.message;
}

async function ask(question: AgentQuestion, timeoutMs: number): Promise<AgentAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<AgentAnswer>();
  const { socketPath, method, path, body } = question;
  const signal = AbortSignal.timeout(Math.ceil(timeoutMs));
  const fail = (error: unknown): void => reject(signal.aborted ? signal.reason : error);
  const outgoing = request(
    {
      socketPath,
      method,
      path,
      agent: false,
      headers: { 'content-type': 'application/json', host: 'agent' },
      signal,
    },
    (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > ANSWER_BYTES_MAX) {
          outgoing.destroy(new Error('the answer is too long'));
        }
      });
      response.on('error', fail);
      response.on('aborted', () => fail(new Error('the answer was cut short')));
      response.on('end', () => {
        if (response.complete) {
          resolve(answerOf(response.statusCode ?? 0, text));
        }
      });
    },
  );
  outgoing.on('error', fail);
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  return await promise;
}

function answerOf(status: number, text: string): AgentAnswer {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  if (status === 200 && body !== undefined) {
    return { kind: 'answer', body };
  }
  const said =
    typeof body === 'object' && body !== null && 'error' in body ? String(body.error) : text;
  const reason = said.trim().slice(0, 400) || `status ${status}`;
  // An agent of an older version has no such page: as good as none.
  return status === 404
    ? { kind: 'silent', reason: 'it does not know this plugin' }
    : { kind: 'refused', isFinal: status >= 400 && status < 500, reason };
}
