/**
 * Everything that `meshctl status` shows, from all replicas of the controller: each knows the proxies that are connected
 * to it, and the certificates that it issued. One that does not answer is a problem, not the end of the answer.
 */
import { isKubeError, type KubeObject } from '@ambit/kube';
import type {
  AdminCertificate,
  AdminController,
  AdminProxies,
  AdminProxy,
  EnrolledNamespace,
  MeshSummary,
} from '@ambit/model';
import { getCertificates, getProxies, getSummary } from '../admin-answers.ts';
import { UserError } from '../errors.ts';
import { type Cluster, fieldAt, gvr, textAt } from '../install/cluster.ts';
import { CONTROLLER } from '../install/objects/common.ts';
import type { AdminOf, MeshTarget } from '../target/mesh-target.ts';
import { byName } from './proxy-rows.ts';
import { namedApart, type ProxyVersion, proxyVersions } from './proxy-versions.ts';
import { rotationWarnings } from './rotation-warning.ts';
import { problemsOf } from './status-problems.ts';
import { versionFindings } from './version-findings.ts';

export interface Replica {
  readonly name: string;
  readonly version?: string;
  readonly isReady: boolean;
  /** Writes to the cluster; the others only serve. Absent where there is no lease. */
  readonly isLeader?: boolean;
  readonly node?: string;
  readonly startedAtMs?: number;
}

export interface MeshStatus extends AdminProxies {
  readonly replicas: readonly Replica[];
  /** Of each pod of an agent or a waypoint: what it says, else the tag of its image. */
  readonly versions: readonly ProxyVersion[];
  readonly certificates: {
    readonly count: number;
    readonly expired: number;
    readonly next?: AdminCertificate;
  };
  /** How many objects there are, by kind. */
  readonly kinds: MeshSummary['kinds'];
  readonly namespaces: readonly EnrolledNamespace[];
  readonly problems: readonly string[];
  /** Beyond those above. Absent: none. */
  readonly more?: { readonly namespaces: number; readonly problems: number };
  /** Works as it is, and is not to stay so. */
  readonly warnings: readonly string[];
}

const LEASES = gvr('coordination.k8s.io/v1', 'leases');

export async function collectStatus(mesh: MeshTarget): Promise<MeshStatus> {
  const replicas = await mesh.controllers();
  const asked = await Promise.all(replicas.map(askReplica));
  const [first] = asked.flatMap(({ answer }) => answer ?? []);
  if (first === undefined) {
    const [failed] = asked;
    if (failed?.error !== undefined) throw failed.error;
    throw new UserError(`no controller of ${mesh.where} answers`);
  }
  const proxies = mergeProxies(asked.flatMap(({ answer }) => answer?.proxies ?? []));
  const [leader, admins] = await Promise.all([leaderOf(mesh), mesh.proxies()]);
  const { controller } = first;
  const summary = await getSummary(first.client, { controller, proxies });
  const certificates = describeCertificates(asked, controller.nowMs);
  const versions = proxyVersions(admins, proxies);
  const shown = asked.map(({ of, answer }) => describeReplica(of, answer?.controller, leader));
  const { kinds, namespaces } = summary;
  const parts = { controller, proxies, replicas: shown, versions, certificates, kinds, namespaces };
  const skew = versionFindings({
    controllers: shown.flatMap(({ version, startedAtMs }) =>
      version === undefined || startedAtMs === undefined ? [] : [version],
    ),
    proxies: namedApart(versions),
  });
  const problems = problemsOf({
    ...{ ...parts, asked, leader },
    ...{ skew: skew.problems, troubled: summary.troubled },
  });
  const rotation = await rotationWarnings(first.client, controller.nowMs);
  const warnings = [...skew.warnings, ...rotation];
  return { ...parts, problems, ...moreOf(summary), warnings };
}

function moreOf({ more }: MeshSummary): Pick<MeshStatus, 'more'> {
  const problems = more.troubled + more.troubledNamespaces;
  return more.namespaces + problems === 0
    ? {}
    : { more: { namespaces: more.namespaces, problems } };
}

export interface Asked {
  readonly of: AdminOf;
  readonly answer?: AdminProxies & {
    readonly client: AdminOf['client'];
    readonly certificates: readonly AdminCertificate[];
  };
  readonly error?: UserError;
}

async function askReplica(of: AdminOf): Promise<Asked> {
  try {
    const { controller, proxies } = await getProxies(of.client);
    const certificates = await getCertificates(of.client);
    return { of, answer: { client: of.client, controller, proxies, certificates } };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { of, error };
  }
}

/** Connected to any replica is connected; gone from all is gone since the last. Of one waypoint each pod is another. */
function mergeProxies(all: readonly AdminProxy[]): readonly AdminProxy[] {
  const best = new Map<string, AdminProxy>();
  const connected = all.filter(({ connectedSinceMs }) => connectedSinceMs !== undefined);
  const pods = new Set(connected.map(({ pod }) => pod));
  // What an older controller says of a proxy may be about any of its pods.
  const named = new Set(connected.map(nameOf));
  const podless = new Set(connected.filter(({ pod }) => pod === undefined).map(nameOf));
  for (const proxy of all) {
    const { id, pod, connectedSinceMs } = proxy;
    // Without a stream its id is that of its pod: it may be connected elsewhere under its own.
    const isElsewhere =
      pod === undefined ? named.has(nameOf(proxy)) : pods.has(pod) || podless.has(nameOf(proxy));
    if (connectedSinceMs === undefined && isElsewhere) continue;
    const key = connectedSinceMs === undefined ? (pod ?? nameOf(proxy)) : id;
    const known = best.get(key);
    const isTold = known?.replica !== undefined && proxy.replica === undefined;
    // The replica that has the stream knows most of it.
    const isBetter = known === undefined || timeOf(proxy) > timeOf(known);
    if (isBetter || (isTold && timeOf(proxy) === timeOf(known))) best.set(key, proxy);
  }
  return [...best.values()].sort(byName);
}

function nameOf({ kind, name }: AdminProxy): string {
  return `${kind} ${name}`;
}

function timeOf({ connectedSinceMs, disconnectedSinceMs }: AdminProxy): number {
  return connectedSinceMs ?? disconnectedSinceMs ?? 0;
}

function describeCertificates(asked: readonly Asked[], nowMs: number): MeshStatus['certificates'] {
  const last = new Map<string, AdminCertificate>();
  for (const one of asked.flatMap(({ answer }) => answer?.certificates ?? [])) {
    const key = `${one.identity} ${one.proxy}`;
    const known = last.get(key);
    if (known === undefined || known.notAfterMs < one.notAfterMs) last.set(key, one);
  }
  const all = [...last.values()].sort((a, b) => a.notAfterMs - b.notAfterMs);
  const next = all.find(({ notAfterMs }) => notAfterMs > nowMs);
  return {
    count: all.length,
    expired: all.filter(({ notAfterMs }) => notAfterMs <= nowMs).length,
    ...(next === undefined ? {} : { next }),
  };
}

function describeReplica(
  { name, node, version, isReady }: AdminOf,
  controller: AdminController | undefined,
  leader: string | undefined,
): Replica {
  const said = controller?.version ?? version;
  return {
    name,
    isReady: isReady && controller !== undefined,
    ...(said === undefined ? {} : { version: said }),
    ...(leader === undefined ? {} : { isLeader: leader === name }),
    ...(node === undefined ? {} : { node }),
    ...(controller === undefined ? {} : { startedAtMs: controller.startedAtMs }),
  };
}

/** Pod that holds the lease; empty if nobody does; undefined where there is none to hold. */
async function leaderOf({ cluster, meshNamespace }: MeshTarget): Promise<string | undefined> {
  if (cluster === undefined) return undefined;
  const leases = await readLeases(cluster, meshNamespace);
  if (leases === undefined) return undefined;
  const own = leases.filter(
    ({ metadata: { name } }) => name === CONTROLLER || name.startsWith(`${CONTROLLER}-`),
  );
  const nowMs = cluster.clock.wallNow();
  for (const lease of own) {
    const spec = fieldAt(lease, 'spec');
    const renewedMs = Date.parse(textAt(spec, 'renewTime'));
    const seconds = fieldAt(spec, 'leaseDurationSeconds');
    const holder = textAt(spec, 'holderIdentity').replace(/_[0-9a-f]+$/, '');
    // A clock that differs by minutes makes nobody a leader who is none: the controllers say who writes.
    const isHeld =
      typeof seconds === 'number' && nowMs - renewedMs < seconds * 1_000 + CLOCK_SLACK_MS;
    if (holder !== '' && isHeld) return holder;
  }
  return '';
}

/** Undefined for whoever may not see them: the rest is worth showing. */
async function readLeases(
  { client }: Cluster,
  namespace: string,
): Promise<readonly KubeObject[] | undefined> {
  try {
    return await client.list(LEASES, { namespace });
  } catch (error) {
    if (isKubeError(error)) return undefined;
    throw error;
  }
}

const CLOCK_SLACK_MS = 60_000;
