/** The other end of `lab.sock`, for the command line: look at a lab, run a command in it, end it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readlinkSync } from 'node:fs';
import { request } from 'node:http';
import type { Clock } from '@ambit/core';
import type { ExecPlan } from './control-server.ts';
import { LabError, type LabErrorCode } from './errors.ts';
import type { LabPaths } from './paths.ts';
import { isHeld, readLiveRecord } from './record.ts';
import type { LabStatus } from './status.ts';

const ANSWER_TIMEOUT_MS = 10_000;
const DOWN_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

export class LabClient {
  readonly #paths: LabPaths;
  readonly #name: string;

  /** Throws `LAB_NOT_RUNNING` when no process holds the lab. */
  constructor(paths: LabPaths, name: string) {
    this.#paths = paths;
    this.#name = name;
    if (readLiveRecord(paths) === undefined) {
      throw new LabError(
        'LAB_NOT_RUNNING',
        `lab "${name}" is not running; start it with: meshctl lab up -f FOLDER --name ${name}`,
      );
    }
  }

  async status(): Promise<LabStatus> {
    return (await this.#call('GET', '/v1/status')) as LabStatus;
  }

  /** Throws `LAB_TIMEOUT` with what is not ready. */
  async ready(timeoutMs: number): Promise<void> {
    await this.#call('GET', `/v1/ready?timeoutMs=${timeoutMs}`, 2 * timeoutMs + ANSWER_TIMEOUT_MS);
  }

  /** Runs a command in a pod on this process's own terminal. */
  async exec(reference: string, argv: readonly string[]): Promise<ChildProcess> {
    const path = `/v1/exec?pod=${encodeURIComponent(reference)}`;
    const plan = (await this.#call('GET', path)) as ExecPlan;
    const enter = [
      ...userNamespaceArguments(plan.supervisorPid),
      `--net=${plan.netns}`,
      // Entering a mount namespace would leave the command in its root folder.
      `--wd=${plan.cwd}`,
      '--',
      ...plan.wrapper,
      ...argv,
    ];
    return spawn('nsenter', enter, { cwd: plan.cwd, env: { ...plan.env }, stdio: 'inherit' });
  }

  /** Asks the lab to end, and waits until nothing is left of it. Throws `LAB_TIMEOUT`. */
  async down(clock: Clock): Promise<void> {
    const record = readLiveRecord(this.#paths);
    await this.#call('POST', '/v1/down');
    const deadline = clock.now() + DOWN_TIMEOUT_MS;
    // The record goes before the folder does; a process that ended in between leaves the folder.
    while (record !== undefined && existsSync(this.#paths.root) && isHeld(record)) {
      if (clock.now() > deadline) {
        throw new LabError(
          'LAB_TIMEOUT',
          `lab "${this.#name}" did not end in ${DOWN_TIMEOUT_MS} ms`,
        );
      }
      await clock.sleep(POLL_MS);
    }
  }

  async #call(method: string, path: string, timeoutMs = ANSWER_TIMEOUT_MS): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const outgoing = request(
      {
        socketPath: this.#paths.controlSocket,
        method,
        path,
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          const body = JSON.parse(text) as { code?: string; message?: string };
          if ((response.statusCode ?? 500) < 300) {
            resolve(body);
          } else {
            reject(new LabError((body.code ?? '') as LabErrorCode, body.message ?? ''));
          }
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
    return await promise;
  }
}

/** A lab inside `unshare -Urnm` lives in a user namespace that this process may have to enter first. */
function userNamespaceArguments(supervisorPid: number): string[] {
  const theirs = readlinkSync(`/proc/${supervisorPid}/ns/user`);
  return theirs === readlinkSync('/proc/self/ns/user')
    ? []
    : ['--user', '--preserve-credentials', '--target', String(supervisorPid), '--mount'];
}
