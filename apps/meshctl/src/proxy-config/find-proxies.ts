/** Which agents or waypoints a name means: a node, a pod of theirs, a Gateway or its Deployment, or an application's pod. */
import { EXIT, UserError } from '../errors.ts';
import { note } from '../output.ts';
import type { MeshTarget, ProxyAdmin } from '../target/mesh-target.ts';

export interface ProxyQuery {
  /** `node1`, `POD.NS`, `NS/POD`, `deploy/waypoint`; absent: see `isOfEach`. */
  readonly name?: string | undefined;
  readonly node?: string | undefined;
  readonly namespace?: string | undefined;
  /** Kinds that can answer. */
  readonly kinds: readonly ProxyAdmin['kind'][];
  readonly isOfEach: boolean;
}

export interface FoundProxies {
  readonly proxies: readonly ProxyAdmin[];
  /** Set if an application's pod was named: only this one is meant. */
  readonly pod?: { readonly namespace: string | undefined; readonly name: string };
}

interface Name {
  readonly kind: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string;
}

const KINDS = ['pod', 'po', 'node', 'agent', 'waypoint', 'gateway', 'gtw', 'deploy', 'deployment'];

/** Throws a UserError when nobody is meant. */
export async function findProxies(mesh: MeshTarget, query: ProxyQuery): Promise<FoundProxies> {
  const all = await mesh.proxies();
  if (all.length === 0) {
    throw new UserError(`no agent and no waypoint of ${mesh.where} can be asked`, {
      why: 'none was found',
      fix: 'meshctl status says what is missing; --controller alone leads to no proxies',
      exitCode: EXIT.unavailable,
    });
  }
  if (query.node !== undefined) return { proxies: [agentOf(query.node, all)] };
  if (query.name === undefined) return { proxies: someOf(all, query) };
  const given = parseName(query.name, query.namespace);
  for (const name of [given, ...dotted(given)]) {
    const found = named(name, all);
    if (found.length > 0) return { proxies: readyFirst(found).slice(0, 1) };
    if (name.kind === undefined || ['pod', 'po'].includes(name.kind)) {
      const node = await mesh.nodeOf(name.namespace ?? mesh.namespace, name.name);
      if (node !== undefined) {
        note(`${query.name} is served by the agent of ${node}`);
        return {
          proxies: [agentOf(node, all)],
          pod: { namespace: name.namespace, name: name.name },
        };
      }
    }
  }
  throw new UserError(`there is no agent, waypoint or pod "${query.name}"`, {
    why: `looked in ${mesh.where}, for a node, a Gateway and a pod of that name`,
    fix: `there are: ${namesOf(all)}; a pod of another namespace: POD.NAMESPACE`,
  });
}

function parseName(written: string, namespace: string | undefined): Name {
  const slash = written.indexOf('/');
  const head = slash === -1 ? undefined : written.slice(0, slash);
  const name = written.slice(slash + 1);
  const inner = name.indexOf('/');
  if (head === undefined) return { kind: undefined, namespace, name };
  if (!KINDS.includes(head)) return { kind: undefined, namespace: head, name };
  return inner === -1
    ? { kind: head, namespace, name }
    : { kind: head, namespace: name.slice(0, inner), name: name.slice(inner + 1) };
}

/** `POD.NAMESPACE`, as istioctl writes it. */
function dotted({ kind, namespace, name }: Name): readonly Name[] {
  const dot = name.lastIndexOf('.');
  return dot < 1 || namespace !== undefined
    ? []
    : [{ kind, namespace: name.slice(dot + 1), name: name.slice(0, dot) }];
}

function named({ kind, namespace, name }: Name, all: readonly ProxyAdmin[]): readonly ProxyAdmin[] {
  return all.filter((proxy) => {
    const isIn = (full: string | undefined): boolean =>
      full !== undefined &&
      (namespace === undefined ? full.endsWith(`/${name}`) : full === `${namespace}/${name}`);
    const isNode = proxy.kind === 'node-agent' && namespace === undefined && proxy.name === name;
    const isGateway = proxy.kind === 'waypoint' && (isIn(proxy.name) || isIn(proxy.deployment));
    switch (kind) {
      case undefined:
        return isNode || isIn(proxy.pod) || isGateway;
      case 'node':
      case 'agent':
        return isNode;
      case 'pod':
      case 'po':
        return isIn(proxy.pod);
      default:
        return isGateway;
    }
  });
}

function agentOf(node: string, all: readonly ProxyAdmin[]): ProxyAdmin {
  const [found] = readyFirst(
    all.filter(({ kind, name }) => kind === 'node-agent' && name === node),
  );
  if (found !== undefined) return found;
  throw new UserError(`no agent runs on node "${node}"`, {
    fix: `there are: ${namesOf(all.filter(({ kind }) => kind === 'node-agent'))}`,
  });
}

function someOf(
  all: readonly ProxyAdmin[],
  { kinds, isOfEach }: ProxyQuery,
): readonly ProxyAdmin[] {
  const able = readyFirst(all.filter(({ kind }) => kinds.includes(kind)));
  const agents = able.filter(({ kind }) => kind === 'node-agent');
  const [first] = agents;
  if (first !== undefined) {
    if (isOfEach) return agents;
    note(`every agent has the same: asked that of ${first.name}`);
    return [first];
  }
  const [only] = able;
  const gateways = new Set(able.map(({ name }) => name));
  if (only !== undefined && gateways.size === 1) return [only];
  throw new UserError('whose?', {
    why: able.length === 0 ? 'there is no waypoint' : `there are ${gateways.size} waypoints`,
    fix:
      able.length === 0
        ? 'meshctl waypoint list; only waypoints have this'
        : `name one: ${namesOf(able)}`,
    exitCode: EXIT.usage,
  });
}

function readyFirst(proxies: readonly ProxyAdmin[]): readonly ProxyAdmin[] {
  return [...proxies].sort((a, b) => Number(b.isReady) - Number(a.isReady));
}

const NAMES_SHOWN_MAX = 20;

function namesOf(proxies: readonly ProxyAdmin[]): string {
  const names = [...new Set(proxies.map(({ name }) => name))].sort();
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return names.length > NAMES_SHOWN_MAX ? `${shown}, …` : shown || 'none';
}
