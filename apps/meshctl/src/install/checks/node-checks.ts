/** What only the agents can see: nodes that reach each other, kernel, CNI order, MTU, clocks, probes. */
import { fieldAt, gvr, listAt, numberAt, textAt } from '../cluster.ts';
import { type Check, type CheckContext, error, type Outcome, ok, some, warning } from './check.ts';
import { type NodeReport, nodeReports } from './node-reports.ts';

const PODS = gvr('v1', 'pods');
const NODES = gvr('v1', 'nodes');
/** Connections that wait to be accepted move to a successor (net.ipv4.tcp_migrate_req). */
const KERNEL_WANTED = [5, 14] as const;
/** nft sets and expressions that the rules are made of. */
const KERNEL_MIN = [5, 4] as const;
/** Certificates begin two minutes before they are made. */
const SKEW_MS_ERROR = 60_000;
const SKEW_MS_WARNING = 5_000;

export const NODE_CHECKS: readonly Check[] = [
  {
    id: 'agents-answer',
    category: 'Nodes, as agents see them',
    description: 'the agents of all nodes answer',
    hint: 'A port-forward to their port 15000 is needed: may you create pods/portforward there, and do they run?',
    run: agentsAnswer,
  },
  {
    id: 'agents-connected',
    category: 'Nodes, as agents see them',
    description: 'all agents are connected to a controller',
    hint: 'Is port 15012 of the controller open to the agents (NetworkPolicy), and its certificate trusted? Their log says why not.',
    run: (context) => ofEach(context, connection),
  },
  {
    id: 'kernel',
    category: 'Nodes, as agents see them',
    description: `the kernels are ${KERNEL_MIN.join('.')} or later, and know how to hand over connections`,
    hint: `From ${KERNEL_WANTED.join('.')} on, connections that wait to be accepted survive an agent's restart.`,
    run: (context) => ofEach(context, kernel),
  },
  {
    id: 'cni-order',
    category: 'Nodes, as agents see them',
    description: 'the CNI plugin is in the configuration that the runtime uses',
    hint: 'New pods of enrolled namespaces do not start there. Another CNI that writes its file over should be told to leave chained plugins alone.',
    run: (context) => ofEach(context, cniOrder),
  },
  {
    id: 'hbone-reachable',
    category: 'Nodes, as agents see them',
    description: 'port 15008 of pods can be reached from every other node',
    hint: 'Firewalls, security groups and NetworkPolicies between nodes have to let TCP 15008 pass.',
    run: (context) => ofEach(context, reach),
  },
  {
    id: 'captures',
    category: 'Nodes, as agents see them',
    description: 'no pod fails to be captured',
    hint: 'The log of that agent says more: meshctl logs agent --node NODE.',
    run: (context) => ofEach(context, captures),
  },
  {
    id: 'mtu',
    category: 'Nodes, as agents see them',
    description: 'pods of all nodes have the same MTU',
    hint: 'Set one MTU in the CNI: large answers between such nodes hang where ICMP is dropped.',
    run: sameMtu,
  },
  {
    id: 'node-clocks',
    category: 'Nodes, as agents see them',
    description: 'the clocks of the nodes agree with that of the API server',
    hint: 'Run NTP on the nodes: certificates are refused before their time, and after it.',
    run: clocks,
  },
  {
    id: 'probe-address',
    category: 'Nodes, as agents see them',
    description: 'the address that probes of the kubelet come from is of nobody',
    hint: 'Choose another link-local one for all agents: agent.env HOST_PROBE_SNAT_IP.',
    run: probeAddress,
  },
];

async function agentsAnswer(context: CheckContext): Promise<Outcome> {
  const reports = await nodeReports(context);
  const silent = reports.filter(({ json }) => json === undefined);
  return silent.length === 0
    ? ok(`${reports.length} nodes`)
    : error(some(silent.map(({ node, error: why }) => `${node}: ${why ?? ''}`)));
}

async function answered(context: CheckContext): Promise<readonly NodeReport[]> {
  return (await nodeReports(context)).filter(({ json }) => json !== undefined);
}

/** Of all that answered: what is said of any. Whoever was silent is counted by `agents-answer`. */
async function ofEach(
  context: CheckContext,
  judge: (report: NodeReport) => readonly Outcome[],
): Promise<Outcome> {
  const said = (await answered(context)).flatMap((report) =>
    judge(report).map(({ result, reason }) => ({
      result,
      text: `${report.node}: ${reason ?? ''}`,
    })),
  );
  const errors = said.filter(({ result }) => result === 'error');
  if (errors.length > 0) return error(some(errors.map(({ text }) => text)));
  const warnings = said.filter(({ result }) => result === 'warning');
  return warnings.length > 0 ? warning(some(warnings.map(({ text }) => text))) : ok();
}

function connection({ json }: NodeReport): readonly Outcome[] {
  if (fieldAt(json, 'controller', 'isConnected') === true) return [];
  return [error(textAt(json, 'controller', 'lastError') || 'not connected')];
}

function kernel({ json }: NodeReport): readonly Outcome[] {
  const found = textAt(json, 'kernel');
  if (isBefore(found, KERNEL_MIN)) return [error(`kernel ${found}`)];
  return isBefore(found, KERNEL_WANTED) ? [warning(`kernel ${found}`)] : [];
}

function isBefore(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, ownMajor, ownMinor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  const [a, b] = [Number(ownMajor), Number(ownMinor)];
  return Number.isNaN(a) || a < major || (a === major && b < minor);
}

function cniOrder({ json }: NodeReport): readonly Outcome[] {
  if (fieldAt(json, 'cni', 'isWanted') !== true) return [];
  const problem = textAt(json, 'cni', 'problem');
  if (problem === '') return [];
  const files = listAt(json, 'cni', 'files').map(String);
  return [error(`${problem} (${files.join('; ') || 'no configuration there'})`)];
}

function reach({ json }: NodeReport): readonly Outcome[] {
  return listAt(json, 'reach').flatMap((one) => {
    const why = textAt(one, 'error');
    const target = `${textAt(one, 'pod')} on ${textAt(one, 'node')} (${textAt(one, 'address')})`;
    return why === '' ? [] : [error(`${target}: ${why}`)];
  });
}

function captures({ json }: NodeReport): readonly Outcome[] {
  return listAt(json, 'pods', 'errors').map((one) =>
    error(`${textAt(one, 'pod')}: ${textAt(one, 'error')}`),
  );
}

async function sameMtu(context: CheckContext): Promise<Outcome> {
  const byMtu = new Map<number, string[]>();
  for (const { node, json } of await answered(context)) {
    const mtu = numberAt(json, 'mtu');
    if (mtu > 0) byMtu.set(mtu, [...(byMtu.get(mtu) ?? []), node]);
  }
  if (byMtu.size <= 1) return ok([...byMtu.keys()].join(''));
  return warning([...byMtu].map(([mtu, nodes]) => `${mtu} on ${some(nodes)}`).join('; '));
}

/** What a node says lies between the asking and the answer; only what is outside of both is a difference. */
async function clocks(context: CheckContext): Promise<Outcome> {
  const offsetMs = await serverOffset(context);
  const skewed = (await answered(context)).flatMap(({ node, json, askedAtMs, answeredAtMs }) => {
    const theirs = numberAt(json, 'nowMs');
    const early = askedAtMs + offsetMs - theirs;
    const late = theirs - (answeredAtMs + offsetMs);
    const skewMs = Math.max(early, late, 0);
    return skewMs > SKEW_MS_WARNING ? [{ node, skewMs }] : [];
  });
  const text = some(skewed.map(({ node, skewMs }) => `${node} by ${Math.round(skewMs / 1_000)} s`));
  if (skewed.some(({ skewMs }) => skewMs > SKEW_MS_ERROR)) return error(text);
  return skewed.length > 0 ? warning(text) : ok();
}

/** The API server's clock against the one here; 0 if it does not say. Its date has whole seconds. */
async function serverOffset({ cluster }: CheckContext): Promise<number> {
  const response = await cluster.client.http.open({ method: 'GET', path: '/version' });
  response.resume();
  const theirs = Date.parse(response.headers.date ?? '');
  const offsetMs = theirs + 500 - cluster.clock.wallNow();
  return Number.isNaN(offsetMs) || Math.abs(offsetMs) < 1_000 ? 0 : offsetMs;
}

async function probeAddress(context: CheckContext): Promise<Outcome> {
  const reports = await answered(context);
  const sources = reports.map(({ json }) => listAt(json, 'probeSources').map(String));
  const used = new Set(sources.flat());
  if (new Set(sources.map((own) => own.join(' '))).size > 1) {
    return error(`agents differ: ${[...used].join(', ')}`);
  }
  const { client } = context.cluster;
  const [pods, nodes] = await Promise.all([client.list(PODS), client.list(NODES)]);
  const taken = [
    ...pods.flatMap((pod) =>
      listAt(pod, 'status', 'podIPs').some((one) => used.has(textAt(one, 'ip')))
        ? [`pod ${pod.metadata.namespace ?? ''}/${pod.metadata.name}`]
        : [],
    ),
    ...nodes.flatMap((node) =>
      listAt(node, 'status', 'addresses').some((one) => used.has(textAt(one, 'address')))
        ? [`node ${node.metadata.name}`]
        : [],
    ),
  ];
  return taken.length === 0 ? ok([...used].join(', ')) : error(`it is of ${some(taken)}`);
}
