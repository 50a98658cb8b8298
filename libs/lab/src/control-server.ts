/**
 * How other processes talk to a lab: HTTP over `lab.sock`, which only this user can open.
 *
 * GET /v1/status · GET /v1/ready?timeoutMs=N (answers when it is) · GET /v1/exec?pod=P (how to run a command there) ·
 * POST /v1/down
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { LabError } from './errors.ts';
import type { Lab } from './lab.ts';
import { netnsPath } from './network.ts';
import { commandLine } from './process.ts';
import { TOOL_PATH } from './tool-path.ts';

/** What `meshctl lab exec` needs to run a command in a pod by itself, on its own terminal. */
export interface ExecPlan {
  readonly pod: string;
  /** Opens the pod's network namespace. */
  readonly netns: string;
  readonly supervisorPid: number;
  /** Wrapper that gives the command the pod's names; the command itself is appended. */
  readonly wrapper: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

export class ControlServer {
  readonly #lab: Lab;
  readonly #onDown: () => void;
  readonly #server: Server;

  /** `onDown` is asked to end the lab; the answer to the client has been sent then. */
  constructor(lab: Lab, onDown: () => void) {
    this.#lab = lab;
    this.#onDown = onDown;
    this.#server = createServer((request, response) => {
      request.resume();
      const url = new URL(request.url ?? '/', 'http://lab');
      try {
        this.#route(`${request.method} ${url.pathname}`, url, response);
      } catch (error) {
        refuse(response, error);
      }
    });
  }

  async start(): Promise<void> {
    const { controlSocket } = this.#lab.paths;
    rmSync(controlSocket, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(controlSocket, resolve);
    });
    chmodSync(controlSocket, 0o600);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #route(route: string, url: URL, response: ServerResponse): void {
    switch (route) {
      case 'GET /v1/status':
        answer(response, 200, this.#lab.status());
        return;
      case 'GET /v1/ready':
        this.#lab.ready(Number(url.searchParams.get('timeoutMs'))).then(
          () => answer(response, 200, {}),
          (error: unknown) => refuse(response, error),
        );
        return;
      case 'GET /v1/exec':
        answer(response, 200, execPlan(this.#lab, url.searchParams.get('pod') ?? ''));
        return;
      case 'POST /v1/down':
        response.once('close', () => this.#onDown());
        answer(response, 202, {});
        return;
      default:
        answer(response, 404, { code: 'LAB_NOT_FOUND', message: `no ${route}` });
    }
  }
}

function execPlan(lab: Lab, reference: string): ExecPlan {
  const pod = lab.pod(reference);
  const { netns, cwd, env, mounts, hostname } = pod.processOptions([], pod.containerEnv());
  const name = hostname === undefined ? {} : { hostname };
  return {
    pod: pod.key,
    netns: netnsPath(netns),
    supervisorPid: process.pid,
    wrapper: commandLine({ argv: [], mounts, ownsPids: true, ...name }),
    cwd,
    env: { PATH: TOOL_PATH, ...env },
  };
}

function refuse(response: ServerResponse, error: unknown): void {
  const code = error instanceof LabError ? error.code : 'LAB_INTERNAL';
  answer(response, 400, { code, message: error instanceof Error ? error.message : String(error) });
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}
