/** One request, to know before the load that a subject answers, and that it refuses what its rules refuse. */
import { join } from 'node:path';
import { systemClock } from '@ambit/core';
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';
import { forbidden, type HttpRequest } from '../peers/http-rules.ts';

const PROGRAM = join(import.meta.dirname, '..', 'programs', 'http-status.ts');
const ANSWER_MS = 10_000;
const RETRY_MS = 250;
const FORBIDDEN = 403;

export interface StatusRequest {
  readonly url: string;
  readonly http: 1 | 2;
  readonly headers: Readonly<Record<string, string>>;
}

/** Throws when there is no answer. */
export async function statusOf(
  netns: Netns,
  { url, http, headers }: StatusRequest,
): Promise<number> {
  const argv = [process.execPath, PROGRAM, String(http), url, JSON.stringify(headers)];
  const output = await Program.start(netns, argv).finish(ANSWER_MS);
  return Number(/^status (\d{3})$/m.exec(output)?.[1]);
}

/** Until the wanted request gets 200; then the forbidden one must get 403. Throws with what came instead. */
export async function requireEnforcing(
  netns: Netns,
  {
    url,
    http,
    request,
    timeoutMs,
  }: Omit<StatusRequest, 'headers'> & {
    readonly request: HttpRequest;
    readonly timeoutMs: number;
  },
): Promise<void> {
  const deadline = systemClock.now() + timeoutMs;
  for (;;) {
    const last = await statusOf(netns, { url, http, headers: request.headers }).catch(
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (last === 200) {
      break;
    }
    if (systemClock.now() > deadline) {
      throw new Error(`the request that is allowed got ${last}`);
    }
    await systemClock.sleep(RETRY_MS);
  }
  const refused = await statusOf(netns, { url, http, headers: forbidden(request) });
  if (refused !== FORBIDDEN) {
    throw new Error(`the request that no rule allows got ${refused}`);
  }
}
