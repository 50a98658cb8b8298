/**
 * A connection or request hop by hop, decided by the functions of the data plane itself, so that an
 * explanation cannot be wrong about what they would do with the same mesh.
 */
import type { DecodedSnapshot } from '@ambit/model';
import { formatAuthority } from '@ambit/routing';
import { askedRequest, hasRequest } from './caller.ts';
import { clientSends } from './client-hop.ts';
import { ExplainMesh } from './mesh.ts';
import { findSource, findTarget, NAMESPACE_DEFAULT, type Source, type Target } from './subjects.ts';
import type { End, ExplainQuery, Explanation, Hop } from './types.ts';

/** Throws an ExplainError when the question names nothing that the mesh knows. */
export function explain(query: ExplainQuery, snapshot: DecodedSnapshot): Explanation {
  const mesh = new ExplainMesh(snapshot);
  const { namespace, port } = query;
  const source = findSource(query.source, namespace, mesh);
  const clientNamespace =
    source.kind === 'workload' ? source.workload.namespace : (namespace ?? NAMESPACE_DEFAULT);
  const target = findTarget(
    {
      text: query.destination,
      namespace: clientNamespace,
      ...(port === undefined ? {} : { port }),
    },
    mesh,
  );
  const asked = askedRequest(query, authorityOf(query, target));
  const hop = clientSends({ source, target, asked, isRequest: hasRequest(query) }, mesh);
  const all = endsOf(hop);
  return {
    source: describeSource(source),
    destination: describeTarget(target),
    hop,
    ...sumUp(all),
  };
}

/** Every end that chance could lead to, in order. */
export function endsOf(hop: Hop): readonly End[] {
  if (hop.end !== undefined) return [hop.end];
  return hop.next.flatMap((branch) => endsOf(branch.hop));
}

function sumUp(all: readonly End[]): Pick<Explanation, 'verdict' | 'text'> {
  const bad = all.filter(({ outcome }) => outcome === 'refused');
  const good = all.find(({ outcome }) => outcome !== 'refused');
  const [firstBad] = bad;
  if (firstBad === undefined) return { verdict: 'allowed', text: good?.text ?? '' };
  return { verdict: good === undefined ? 'refused' : 'depends', text: firstBad.text };
}

/** What a client writes into Host: the name that it was given, or the address where nothing but that leads there. */
function authorityOf({ destination }: ExplainQuery, target: Target): string {
  const authority = formatAuthority(hostOf(destination, target), target.port);
  return authority.replace(/:80$/, '');
}

function hostOf(destination: string, target: Target): string {
  switch (target.kind) {
    case 'workload':
      return target.workload.addresses[0] ?? target.workload.hostname;
    case 'service': {
      const [namespace, name] = destination.split('/');
      return name === undefined ? destination : `${name}.${namespace}`;
    }
    case 'address':
    case 'name':
      return destination;
  }
}

function describeSource(source: Source): string {
  return source.kind === 'outside'
    ? source.ip
    : `${source.workload.namespace}/${source.workload.name}`;
}

function describeTarget(target: Target): string {
  switch (target.kind) {
    case 'service':
      return `${target.service.hostname}:${target.port}`;
    case 'workload':
      return `${target.workload.namespace}/${target.workload.name}:${target.port}`;
    case 'address':
      return `${target.ip}:${target.port}`;
    case 'name':
      return `${target.name}:${target.port}`;
  }
}
