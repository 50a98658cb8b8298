/**
 * What a CNI plugin does in a cluster: tells the node's agent about pods, over its unix socket.
 *
 * Rule: never fail open. While the agent does not answer, a pod of an enrolled namespace waits; which namespaces
 * those are, the agent left on the node (`enrolled.json`).
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

/** Longer than an agent takes to write rules and open listeners, shorter than a person's patience. */
const ANSWER_TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024;

export interface PodEvent {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly netnsPath: string;
  readonly ips: readonly string[];
}

export class AgentClient {
  readonly #folder: string;

  /** `folder` is the agent's run directory. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves when rules are in and listeners are up, or the pod is none of the mesh's. Rejects otherwise. */
  async add(pod: PodEvent): Promise<{ readonly captured: boolean }> {
    const answer = await this.#call('POST', '/v1/pods', pod);
    const body: unknown = JSON.parse(answer);
    return {
      captured:
        typeof body === 'object' && body !== null && 'captured' in body && body.captured === true,
    };
  }

  async update(pod: PodEvent): Promise<void> {
    await this.#call('PUT', `/v1/pods/${encodeURIComponent(pod.uid)}`, pod);
  }

  async remove(uid: string): Promise<void> {
    await this.#call('DELETE', `/v1/pods/${encodeURIComponent(uid)}`);
  }

  /** True when the agent said, when it last lived, that pods of this namespace may be the mesh's. */
  mayBeEnrolled(namespace: string): boolean {
    try {
      const list: unknown = JSON.parse(readFileSync(join(this.#folder, 'enrolled.json'), 'utf8'));
      return !Array.isArray(list) || list.includes(namespace);
    } catch (error) {
      // No list: there was no agent here yet, and nothing is enrolled. Unreadable: hold everything back.
      return !(error instanceof Error && 'code' in error && error.code === 'ENOENT');
    }
  }

  async #call(method: string, path: string, body?: unknown): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const outgoing = request(
      {
        socketPath: join(this.#folder, 'agent.sock'),
        method,
        path,
        headers: { 'content-type': 'application/json', connection: 'close' },
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text = (text + chunk).slice(0, ANSWER_BYTES_MAX);
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode !== undefined && response.statusCode < 300) {
            resolve(text);
          } else {
            reject(
              new Error(`agent answered ${response.statusCode}: ${text.trim().slice(0, 300)}`),
            );
          }
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    return await promise;
  }
}
