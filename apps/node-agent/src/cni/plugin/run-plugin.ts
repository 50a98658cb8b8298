/**
 * The plugin: what each command of the runtime does.
 *
 * Rule: a pod starts when the agent says so, or when the agent is silent and the pod is none that waits for it. A
 * refusal of the agent is never overruled.
 */
import { join } from 'node:path';
import type { Clock } from '@ambit/core';
import { type AgentAnswer, askAgent } from './agent-call.ts';
import {
  CNI_CODE,
  CniError,
  type CniInput,
  type Environment,
  isRecord,
  parseInput,
  SUPPORTED_VERSIONS,
} from './cni-protocol.ts';
import { journalRemoval } from './del-journal.ts';
import { holdOf, type PodName } from './enrolled-list.ts';
import { addressesOf } from './prev-result.ts';

/** More than the agent takes to decide and to capture (CNI_ADD_MS of its side). */
const ADD_MS = 12_000;
/** An agent that is being replaced listens again within this. */
const ABSENT_MS = 2_000;
const DEL_MS = 2_000;
const QUESTION_MS = 4_000;

export interface Outcome {
  readonly exitCode: 0 | 1;
  /** One JSON document, or nothing. */
  readonly stdout: string;
  /** For the log; undefined when nothing is worth a line. */
  readonly note?: Readonly<Record<string, string>>;
  readonly runDir?: string;
}

export interface PluginOptions {
  readonly env: Environment;
  readonly stdin: string;
  readonly clock: Clock;
}

/** Never rejects. */
export async function runPlugin({ env, stdin, clock }: PluginOptions): Promise<Outcome> {
  let version = '1.0.0';
  let runDir: string | undefined;
  try {
    const input = parseInput(env, stdin);
    version = input.config.cniVersion;
    ({ runDir } = input.config);
    return { runDir, ...(await run(input, clock)) };
  } catch (error) {
    const { code, message, details } = errorOf(error);
    const answer = {
      cniVersion: version,
      code,
      msg: message,
      ...(details === '' ? {} : { details }),
    };
    return {
      exitCode: 1,
      stdout: JSON.stringify(answer),
      note: { command: env['CNI_COMMAND'] ?? '', args: env['CNI_ARGS'] ?? '', error: message },
      ...(runDir === undefined ? {} : { runDir }),
    };
  }
}

function errorOf(error: unknown): Pick<CniError, 'code' | 'message' | 'details'> {
  if (error instanceof CniError) {
    return error;
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: CNI_CODE.inputOutput, message: `ambit: ${message}`, details: '' };
}

async function run(input: CniInput, clock: Clock): Promise<Outcome> {
  switch (input.command) {
    case 'VERSION':
      return ok({
        cniVersion: input.config.cniVersion,
        supportedVersions: [...SUPPORTED_VERSIONS],
      });
    case 'ADD':
      return await add(input, clock);
    case 'DEL':
      return await del(input, clock);
    case 'CHECK':
      return await check(input, clock);
    case 'STATUS':
      return await status(input, clock);
    case 'GC':
      return await collect(input, clock);
  }
}

function ok(answer?: unknown, note?: Outcome['note']): Outcome {
  const stdout = answer === undefined ? '' : JSON.stringify(answer);
  return { exitCode: 0, stdout, ...(note === undefined ? {} : { note }) };
}

async function add(input: CniInput, clock: Clock): Promise<Outcome> {
  const { prevResult } = input.config;
  if (prevResult === undefined) {
    throw new CniError(
      CNI_CODE.invalidConfig,
      'ambit must be chained after a plugin that makes the network: there is no prevResult',
      'put it last in "plugins" of a .conflist',
    );
  }
  const pod = podOf(input);
  const result = { cniVersion: input.config.cniVersion, ...prevResult };
  if (pod === undefined) {
    // Not of Kubernetes, so of no namespace that could be enrolled.
    return ok(result);
  }
  const hold = holdOf(pod, input.config);
  const answer = await ask(input, clock, {
    path: '/v1/cni/add',
    body: { ...attachment(input), ...pod, ...addressesOf(prevResult) },
    deadlineMs: ADD_MS,
    absentMs: hold.isHeld ? ABSENT_MS : 0,
  });
  const name = `${pod.namespace}/${pod.name}`;
  switch (answer.kind) {
    case 'answer':
      return ok(result);
    case 'refused':
      throw new CniError(
        answer.isFinal ? CNI_CODE.refused : CNI_CODE.tryAgainLater,
        `ambit: pod ${name} cannot start yet: ${answer.reason}`,
      );
    case 'silent':
      // Asked again: the agent may have left its list meanwhile, and the newer one counts.
      return withoutAgent({ input, pod, result, why: answer.reason });
  }
}

function withoutAgent(parts: {
  readonly input: CniInput;
  readonly pod: PodName;
  readonly result: unknown;
  readonly why: string;
}): Outcome {
  const { input, pod, result, why } = parts;
  const hold = holdOf(pod, input.config);
  const name = `${pod.namespace}/${pod.name}`;
  if (hold.isHeld) {
    throw new CniError(
      CNI_CODE.tryAgainLater,
      `ambit: pod ${name} waits for the node agent, which does not answer (${why}); ${hold.reason}`,
    );
  }
  return ok(result, { command: 'ADD', pod: name, passed: hold.reason, agent: why });
}

async function del(input: CniInput, clock: Clock): Promise<Outcome> {
  const body = attachment(input);
  const answer = await ask(input, clock, {
    path: '/v1/cni/del',
    body,
    deadlineMs: DEL_MS,
    absentMs: 0,
  });
  if (answer.kind === 'answer') {
    return ok();
  }
  const isKept = journalRemoval(input.config.runDir, body);
  return ok(undefined, {
    command: 'DEL',
    container: input.containerId,
    agent: answer.reason,
    journal: isKept ? 'written' : 'not written',
  });
}

async function check(input: CniInput, clock: Clock): Promise<Outcome> {
  const pod = podOf(input);
  if (pod === undefined) {
    return ok();
  }
  const answer = await ask(input, clock, {
    path: '/v1/cni/check',
    body: { ...attachment(input), ...pod },
    deadlineMs: QUESTION_MS,
    absentMs: ABSENT_MS,
  });
  if (answer.kind === 'answer' || (answer.kind === 'silent' && !holdOf(pod, input.config).isHeld)) {
    return ok();
  }
  throw new CniError(CNI_CODE.tryAgainLater, `ambit: ${answer.reason}`);
}

/**
 * Ready unless told to look at the agent. A runtime that hears "not ready" makes the whole node so, and kubelet then
 * starts no pod with a network of its own, the agent's own pod included: nothing would ever come back.
 */
async function status(input: CniInput, clock: Clock): Promise<Outcome> {
  if (!input.config.statusNeedsAgent) {
    return ok();
  }
  const question = { path: '/v1/cni/status', deadlineMs: QUESTION_MS, absentMs: ABSENT_MS };
  const answer = await ask(input, clock, { ...question, method: 'GET' });
  if (answer.kind === 'answer') {
    return ok();
  }
  throw new CniError(CNI_CODE.notAvailable, `ambit: the node agent is not ready: ${answer.reason}`);
}

async function collect(input: CniInput, clock: Clock): Promise<Outcome> {
  const { validAttachments, network } = input.config;
  if (validAttachments === undefined) {
    // Never taken for an empty list, which would let go of every pod.
    throw new CniError(CNI_CODE.invalidConfig, 'cni.dev/valid-attachments is missing');
  }
  const answer = await ask(input, clock, {
    path: '/v1/cni/gc',
    body: { network, attachments: validAttachments },
    deadlineMs: QUESTION_MS,
    absentMs: 0,
  });
  if (answer.kind === 'answer') {
    return ok();
  }
  throw new CniError(CNI_CODE.tryAgainLater, `ambit: ${answer.reason}`);
}

async function ask(
  { config }: CniInput,
  clock: Clock,
  question: {
    readonly path: string;
    readonly method?: 'GET' | 'POST';
    readonly body?: unknown;
    readonly deadlineMs: number;
    readonly absentMs: number;
  },
): Promise<AgentAnswer> {
  const socketPath = join(config.runDir, 'agent.sock');
  const answer = await askAgent({ method: 'POST', ...question, socketPath, clock });
  return answer.kind === 'answer' && !isRecord(answer.body)
    ? { kind: 'silent', reason: 'its answer makes no sense' }
    : answer;
}

function attachment({ containerId, ifname, netns, config }: CniInput) {
  return { containerId, ifname, network: config.network, netns };
}

/** Undefined for what is no pod of Kubernetes. The uid is empty with runtimes that do not tell it. */
function podOf({ args }: CniInput): (PodName & { readonly uid: string }) | undefined {
  const namespace = args.get('K8S_POD_NAMESPACE') ?? '';
  const name = args.get('K8S_POD_NAME') ?? '';
  return namespace === '' || name === ''
    ? undefined
    : { namespace, name, uid: args.get('K8S_POD_UID') ?? '' };
}
