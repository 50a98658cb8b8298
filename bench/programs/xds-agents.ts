/**
 * `xds-agents.ts ADDRESS ROOT_FILE`: on stdin a line `[{"node","pod","token"}]`, as many agents, each with a stream of its own. Prints
 * `synced` when all have everything, then for each name that all of them hold alike `{"name","state","at"}`, with the
 * nanoseconds of the machine's monotonic clock. For a line `held` on stdin: `{"held","differing"}`, what they hold then.
 */
import { createInterface } from 'node:readline';
import { systemClock } from '@ambit/core';
import {
  announceNames,
  buildNode,
  DeltaClient,
  fileText,
  openDeltaStream,
  type RawResource,
  type Subscription,
  TYPE_URL,
} from '@ambit/xds';
import { GONE, type HeldByAgents, StateReader } from '../suites/held-state.ts';

interface AgentIdentity {
  readonly node: string;
  readonly pod: string;
  readonly token: string;
}

const SETTLE_MS = 2_000;
const DIFFERING_MAX = 100;

const [address = '', rootFile = ''] = process.argv.slice(2);
const reader = new StateReader();
let agents: readonly Agent[] = [];
let isSynced = false;

/** As an agent does: what is on its node it captures, and says so. */
class Agent {
  readonly client: DeltaClient;
  readonly held = new Map<string, string>();
  readonly #captured = new Set<string>();

  constructor({ node, pod, token }: AgentIdentity) {
    this.client = new DeltaClient({
      clock: systemClock,
      open: openDeltaStream({
        address,
        rootCa: fileText(rootFile),
        clusterId: 'Kubernetes',
        token: () => Promise.resolve(token),
      }),
      node: buildNode({
        type: 'ztunnel',
        ip: '127.0.0.1',
        podName: pod,
        namespace: 'istio-system',
        metadata: { NODE_NAME: node, SERVICE_ACCOUNT: 'ambit-node-agent' },
      }),
      subscriptions: [
        this.#record(TYPE_URL.enrolment),
        this.#record(TYPE_URL.authorization),
        this.#record(TYPE_URL.address),
        this.#pods(),
        announceNames(TYPE_URL.capture),
      ],
    });
  }

  #record(typeUrl: string): Subscription {
    return {
      typeUrl,
      mode: 'wildcard',
      // The client sends the ACK in the turn in which this resolves.
      apply: ({ changed, removed }) => {
        for (const name of removed) this.#take(name, undefined);
        for (const resource of changed) this.#take(resource.name, stateOf(typeUrl, resource));
        return Promise.resolve([]);
      },
    };
  }

  #take(name: string, state: string | undefined): void {
    if (state === undefined) this.held.delete(name);
    else this.held.set(name, state);
    if (!isSynced || agents.some(({ held }) => held.get(name) !== state)) return;
    const at = String(process.hrtime.bigint());
    console.log(JSON.stringify({ name, state: state ?? GONE, at }));
  }

  #pods(): Subscription {
    return {
      typeUrl: TYPE_URL.pod,
      mode: 'wildcard',
      apply: ({ changed, removed }) => {
        for (const { name } of changed) this.#captured.add(`Kubernetes//Pod/${name}`);
        for (const name of removed) this.#captured.delete(`Kubernetes//Pod/${name}`);
        this.client.setNames(TYPE_URL.capture, new Set(this.#captured));
        return Promise.resolve([]);
      },
    };
  }
}

function stateOf(typeUrl: string, resource: RawResource): string {
  return reader.read(typeUrl, resource);
}

function heldByAll(): HeldByAgents {
  const first = agents[0]?.held ?? new Map<string, string>();
  const differing = agents.flatMap(({ held }, agent) =>
    [...new Set([...first.keys(), ...held.keys()])].flatMap((name) =>
      held.get(name) === first.get(name) ? [] : [{ agent, name, state: held.get(name) ?? GONE }],
    ),
  );
  return { held: [...first], differing: differing.slice(0, DIFFERING_MAX) };
}

async function run(identities: readonly AgentIdentity[]): Promise<void> {
  agents = identities.map((identity) => new Agent(identity));
  for (const { client } of agents) client.start();
  await Promise.all(agents.map(({ client }) => client.firstSync));
  // A first answer that is too large for one message goes on in others.
  await systemClock.sleep(SETTLE_MS);
  isSynced = true;
  console.log('synced');
}

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'held') console.log(JSON.stringify(heldByAll()));
  else void run(JSON.parse(line) as readonly AgentIdentity[]);
});
