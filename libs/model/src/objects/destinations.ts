/**
 * The hosts that a routing object sends to, completed, and the objects that it delegates to.
 */
import type {
  BackendRef,
  Destination,
  GRPCRoute,
  HTTPRoute,
  ObjectKey,
  TCPRoute,
  VirtualService,
} from '@ambit/api';

import { objectKey, resolveHost } from './keys.ts';

export interface Destinations {
  readonly hosts: ReadonlySet<string>;
  readonly delegates: readonly ObjectKey[];
  /** For findings: where each host and subset is named. */
  readonly named: readonly NamedDestination[];
}

export interface NamedDestination {
  readonly path: string;
  readonly host: string;
  readonly subset?: string;
  /** As written. */
  readonly written: string;
}

export function destinationHosts(
  object: VirtualService | GRPCRoute | HTTPRoute | TCPRoute,
  clusterDomain: string,
): Destinations {
  const named =
    object.kind === 'VirtualService'
      ? virtualServiceDestinations(object, clusterDomain)
      : routeDestinations(object, clusterDomain);
  const delegates =
    object.kind === 'VirtualService'
      ? object.spec.http.flatMap(({ delegate }) =>
          delegate === undefined
            ? []
            : [
                objectKey(
                  'VirtualService',
                  delegate.namespace ?? object.metadata.namespace,
                  delegate.name,
                ),
              ],
        )
      : [];
  return { hosts: new Set(named.map(({ host }) => host)), delegates, named };
}

function virtualServiceDestinations(
  { metadata, spec }: VirtualService,
  clusterDomain: string,
): readonly NamedDestination[] {
  const found: NamedDestination[] = [];
  const add = (destination: Destination, path: string): void => {
    found.push({
      path: `${path}.destination`,
      host: resolveHost(destination.host, metadata.namespace, clusterDomain),
      written: destination.host,
      ...(destination.subset === undefined ? {} : { subset: destination.subset }),
    });
  };
  for (const [index, rule] of spec.http.entries()) {
    for (const [at, { destination }] of rule.route.entries()) {
      add(destination, `spec.http[${index}].route[${at}]`);
    }
    for (const [at, { destination }] of rule.mirrors.entries()) {
      add(destination, `spec.http[${index}].mirrors[${at}]`);
    }
  }
  for (const kind of ['tcp', 'tls'] as const) {
    for (const [index, rule] of spec[kind].entries()) {
      for (const [at, { destination }] of rule.route.entries()) {
        add(destination, `spec.${kind}[${index}].route[${at}]`);
      }
    }
  }
  return found;
}

function routeDestinations(
  route: GRPCRoute | HTTPRoute | TCPRoute,
  clusterDomain: string,
): readonly NamedDestination[] {
  const found: NamedDestination[] = [];
  const add = (ref: BackendRef, path: string): void => {
    const namespace = ref.namespace ?? route.metadata.namespace;
    const host =
      ref.kind === 'Hostname'
        ? ref.name.toLowerCase()
        : `${ref.name}.${namespace}.svc.${clusterDomain}`;
    found.push({ path, host, written: ref.name });
  };
  for (const [index, rule] of route.spec.rules.entries()) {
    for (const [at, ref] of rule.backendRefs.entries()) {
      add(ref, `spec.rules[${index}].backendRefs[${at}]`);
    }
  }
  if (route.kind === 'TCPRoute') return found;
  for (const [index, rule] of route.spec.rules.entries()) {
    for (const [at, filter] of rule.filters.entries()) {
      if (filter.type !== 'RequestMirror') continue;
      const path = `spec.rules[${index}].filters[${at}].requestMirror.backendRef`;
      add(filter.requestMirror.backendRef, path);
    }
  }
  return found;
}
