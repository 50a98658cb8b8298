/**
 * `xds-agents.ts ADDRESS ROOT_FILE` with `[{"node","pod","token"}]` on stdin: as many agents, each with a stream of its own. Prints
 * `synced` when all have everything, then for each name that all of them have answered for `{"name","at"}`, with the
 * nanoseconds of the machine's monotonic clock.
 */
import { text } from 'node:stream/consumers';
import { systemClock } from '@ambit/core';
import {
  announceNames,
  buildNode,
  DeltaClient,
  fileText,
  openDeltaStream,
  type Subscription,
  TYPE_URL,
} from '@ambit/xds';

interface AgentIdentity {
  readonly node: string;
  readonly pod: string;
  readonly token: string;
}

const SETTLE_MS = 2_000;

const [address = '', rootFile = ''] = process.argv.slice(2);
const agents = JSON.parse(await text(process.stdin)) as readonly AgentIdentity[];
/** How many agents have answered for a name. */
const answered = new Map<string, number>();
let isSynced = false;

function note(name: string): void {
  const count = (answered.get(name) ?? 0) + 1;
  if (count < agents.length) {
    answered.set(name, count);
    return;
  }
  answered.delete(name);
  console.log(JSON.stringify({ name, at: String(process.hrtime.bigint()) }));
}

function record(typeUrl: string): Subscription {
  return {
    typeUrl,
    mode: 'wildcard',
    // The client sends the ACK in the turn in which this resolves.
    apply: ({ changed, removed }) => {
      if (isSynced) {
        for (const { name } of changed) note(name);
        for (const name of removed) note(name);
      }
      return Promise.resolve([]);
    },
  };
}

/** As an agent does: what is on its node it captures, and says so. */
class Agent {
  readonly client: DeltaClient;
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
        ...[TYPE_URL.enrolment, TYPE_URL.authorization, TYPE_URL.address].map(record),
        this.#pods(),
        announceNames(TYPE_URL.capture),
      ],
    });
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

const clients = agents.map((identity) => new Agent(identity).client);
for (const client of clients) client.start();
await Promise.all(clients.map((client) => client.firstSync));
// A first answer that is too large for one message goes on in others.
await systemClock.sleep(SETTLE_MS);
isSynced = true;
console.log('synced');
