/** The first hop: the client, the name it uses, and the agent that captures what it sends. */
import type { MeshService, Workload } from '@ambit/model';
import {
  formatAuthority,
  type OutboundDecision,
  resolveOutbound,
  serviceKey,
} from '@ambit/routing';
import { distinctDraws, foldBranches } from './branches.ts';
import type { AskedRequest, Caller } from './caller.ts';
import { plaintextArrives, tunnelArrives } from './destination-hop.ts';
import {
  describeWorkload,
  ends,
  endsRefused,
  goesOn,
  type HopHead,
  note,
  references,
} from './hop-parts.ts';
import type { ExplainMesh } from './mesh.ts';
import type { Source, Target } from './subjects.ts';
import type { Branch, Hop, Step } from './types.ts';
import { waypointArrives } from './waypoint-hop.ts';

export interface ClientQuestion {
  readonly source: Source;
  readonly target: Target;
  readonly asked: AskedRequest;
  readonly isRequest: boolean;
}

export function clientSends(question: ClientQuestion, mesh: ExplainMesh): Hop {
  const { source, target } = question;
  const isCaptured = source.kind === 'workload' && source.workload.tunnelProtocol === 'HBONE';
  const head: HopHead = {
    place: 'client',
    title: source.kind === 'outside' ? `client ${source.ip}` : describeWorkload(source.workload),
    steps: [...sourceSteps(source, isCaptured, mesh), ...targetSteps(target, mesh)],
  };
  const addresses = addressesOf(target, source, mesh);
  if (addresses.length === 0) return leavesByName(head, target);
  const make = (to: Address): Hop =>
    isCaptured ? captured(source.workload, to, { question, mesh }) : uncaptured(to, question, mesh);
  const branches = foldBranches(addresses, make, 'addresses');
  return joined(head, branches);
}

interface Address {
  readonly ip: string;
  readonly port: number;
}

function sourceSteps(source: Source, isCaptured: boolean, mesh: ExplainMesh): readonly Step[] {
  if (source.kind === 'outside') return [note('outside the mesh: plaintext, without identity')];
  const others = source.others === 0 ? '' : ` (and ${source.others} more like it)`;
  if (!isCaptured) {
    const why = mesh.whyNotCaptured(source.workload);
    return [note(`${why}${others}`), note('plaintext, without identity')];
  }
  const { namespace, serviceAccount } = source.workload;
  return [note(`captured by the agent; service account ${namespace}/${serviceAccount}${others}`)];
}

function targetSteps(target: Target, mesh: ExplainMesh): readonly Step[] {
  switch (target.kind) {
    case 'service': {
      const { service, port } = target;
      const vip = vipsOf(service, mesh).join(', ');
      const at = vip === '' ? 'headless: its name gives pod addresses' : vip;
      return [
        note(
          `${service.hostname} is service ${service.namespace}/${service.name} (${at}), port ${port}`,
        ),
      ];
    }
    case 'workload':
      return [note(`the destination is pod ${describeWorkload(target.workload)} itself`)];
    case 'address':
      return [];
    case 'name':
      return [note(`${target.name} is not a name of the mesh`)];
  }
}

function addressesOf(target: Target, source: Source, mesh: ExplainMesh): readonly Address[] {
  const { port } = target;
  switch (target.kind) {
    case 'name':
      return [];
    case 'address':
      return [{ ip: target.ip, port }];
    case 'workload':
      return target.workload.addresses.slice(0, 1).map((ip) => ({ ip, port }));
    case 'service': {
      const wantsV6 = source.kind === 'workload' && source.workload.addresses[0]?.includes(':');
      const vips = vipsOf(target.service, mesh);
      const vip = vips.find((ip) => ip.includes(':') === (wantsV6 ?? false)) ?? vips[0];
      if (vip !== undefined) return [{ ip: vip, port }];
      return mesh.index
        .endpoints(serviceKey(target.service))
        .flatMap(({ addresses }) => addresses.slice(0, 1).map((ip) => ({ ip, port })));
    }
  }
}

function vipsOf(service: MeshService, mesh: ExplainMesh): readonly string[] {
  return service.addresses
    .filter(({ network, length }) => network === mesh.index.network && length === undefined)
    .map(({ address }) => address);
}

function leavesByName(head: HopHead, target: Target): Hop {
  if (target.kind === 'name') {
    const at = formatAuthority(target.name, target.port);
    const step = note('it is passed through as it is: nothing of the mesh applies');
    return ends(
      { ...head, steps: [...head.steps, step] },
      { outcome: 'arrives', text: `leaves the mesh for ${at}` },
    );
  }
  const text = 'the destination has no address, and no ready endpoint that has one';
  return endsRefused(head, { text });
}

function captured(
  workload: Workload,
  to: Address,
  { question, mesh }: { readonly question: ClientQuestion; readonly mesh: ExplainMesh },
): Hop {
  const query = { source: workload, destinationIp: to.ip, port: to.port };
  const decisions = distinctDraws(
    (random) => resolveOutbound(query, mesh.index, random),
    decisionKey,
  );
  const caller: Caller = { ip: workload.addresses[0] ?? '', workload };
  const [first] = decisions;
  const what = first?.kind === 'waypoint' ? 'waypoint instances' : 'endpoints';
  const branches = foldBranches(
    decisions,
    (decision) => outboundHop(decision, { to, caller, question, mesh }),
    what,
  );
  const head: HopHead = {
    place: 'client',
    title: `agent of ${describeWorkload(workload)}`,
    steps: [],
  };
  return joined(head, branches);
}

function decisionKey(decision: OutboundDecision<Workload, MeshService>): string {
  return decision.kind === 'refuse'
    ? decision.code
    : `${decision.kind} ${decision.dial.host}:${decision.dial.port}`;
}

interface OutboundContext {
  readonly to: Address;
  readonly caller: Caller;
  readonly question: ClientQuestion;
  readonly mesh: ExplainMesh;
}

function outboundHop(
  decision: OutboundDecision<Workload, MeshService>,
  { to, caller, question, mesh }: OutboundContext,
): Hop {
  const title = caller.workload === undefined ? caller.ip : describeWorkload(caller.workload);
  const head: HopHead = { place: 'client', title: `agent of ${title}`, steps: [] };
  const at = formatAuthority(to.ip, to.port);
  const then = (text: string, hop: Hop): Hop =>
    goesOn({ ...head, steps: [note(text)] }, [{ label: '', hop }]);
  switch (decision.kind) {
    case 'refuse': {
      const isWaypoint = decision.code.startsWith('ROUTING_WAYPOINT_');
      const objects = isWaypoint ? references(mesh.waypointReasons(decision)) : [];
      return endsRefused(head, { text: decision.text, objects });
    }
    case 'passthrough':
      return ends(
        { ...head, steps: [note(`${at} is not of the mesh: passed through as it is`)] },
        { outcome: 'arrives', text: `leaves the mesh for ${at}` },
      );
    case 'plain': {
      const { workload, dial } = decision;
      const arrival = { local: workload, ip: dial.host, port: dial.port, caller };
      const text = `${at}: plain TCP to ${describeWorkload(workload)}, which is not captured`;
      return then(text, plaintextArrives(arrival, mesh));
    }
    case 'hbone': {
      const { workload, authority, dial, expectedIdentities } = decision;
      const expected = expectedIdentities.join(' or ');
      const text = `${at}: tunnel to ${formatAuthority(dial.host, dial.port)}, which must be ${expected}`;
      const arrival = { local: workload, authority, ip: dial.host, peer: caller };
      return then(text, tunnelArrives(arrival, mesh));
    }
    case 'waypoint': {
      const { waypoint, authority, dial, expectedIdentities, service, workload } = decision;
      const gateway = service?.waypoint ?? workload?.waypoint;
      const expected = expectedIdentities.join(' or ');
      const text = `${at}: tunnel to its waypoint at ${formatAuthority(dial.host, dial.port)}, which must be ${expected}`;
      const { asked, isRequest } = question;
      return then(
        text,
        waypointArrives({ waypoint, gateway, authority, caller, asked, isRequest }, mesh),
      );
    }
  }
}

/** Plaintext of a client that no agent captures: the cluster's own way to an endpoint. */
function uncaptured(to: Address, question: ClientQuestion, mesh: ExplainMesh): Hop {
  const { source } = question;
  const namespace = source.kind === 'workload' ? source.workload.namespace : '';
  const caller: Caller = {
    ip: source.kind === 'workload' ? (source.workload.addresses[0] ?? '') : source.ip,
  };
  const head: HopHead = { place: 'client', title: `client ${caller.ip}`, steps: [] };
  const service = mesh.index.serviceByAddress(mesh.index.network, to.ip, namespace);
  const addressed = mesh.index.workloadByAddress(mesh.index.network, to.ip);
  if (service === undefined && addressed === undefined) {
    const at = formatAuthority(to.ip, to.port);
    return ends(head, { outcome: 'arrives', text: `leaves the mesh for ${at}` });
  }
  const endpoints = service === undefined ? [] : plainEndpoints(service, to.port, mesh);
  const targets =
    service === undefined && addressed !== undefined
      ? [{ local: addressed, ip: to.ip, port: to.port }]
      : endpoints;
  if (targets.length === 0) {
    return endsRefused(head, { text: `service ${service?.hostname ?? ''} has no ready endpoint` });
  }
  const branches = foldBranches(targets, (target) => plaintextArrives({ ...target, caller }, mesh));
  return goesOn(head, branches);
}

function plainEndpoints(
  service: MeshService,
  port: number,
  mesh: ExplainMesh,
): readonly { readonly local: Workload; readonly ip: string; readonly port: number }[] {
  const key = serviceKey(service);
  return mesh.index.endpoints(key).flatMap((local) => {
    const mapping = local.services[key]?.find(({ servicePort }) => servicePort === port);
    const [ip] = local.addresses;
    return mapping === undefined || ip === undefined
      ? []
      : [{ local, ip, port: mapping.targetPort }];
  });
}

/** A single way is part of the hop before it. */
function joined(head: HopHead, branches: readonly Branch[]): Hop {
  const [only] = branches;
  if (branches.length !== 1 || only === undefined || only.label !== '')
    return goesOn(head, branches);
  const { hop } = only;
  return hop.place === 'client'
    ? { ...hop, title: head.title, steps: [...head.steps, ...hop.steps] }
    : goesOn(head, branches);
}
