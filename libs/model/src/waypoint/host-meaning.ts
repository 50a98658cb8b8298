/** What a host means at a waypoint: asked of the functions by which the waypoint itself decides, so that a status says what is done. */
import { BY_HOSTNAME, type Derived } from '../derive.ts';
import type { ServiceSpec } from '../service/services.ts';
import { preferring } from '../view/mesh-index.ts';
import type { Binding } from './waypoints.ts';

/** The namespace of the waypoint that calls of a service go by; its own where it has none, as the one that would be made. */
export function namespaceOfWaypoint(namespace: string, binding: Binding | undefined): string {
  const waypoint = binding?.reason === 'Bound' ? binding.waypoint : undefined;
  return waypoint?.split('/')[0] ?? namespace;
}

/** Of several services of one host the one that a waypoint of namespace `at` sends to. */
export function serviceAt(
  hostname: string,
  at: string,
  { services, meshServices }: Pick<Derived, 'services' | 'meshServices'>,
): ServiceSpec | undefined {
  const found = services.lookup(BY_HOSTNAME, hostname);
  if (found.length < 2) return found[0];
  const [first] = found.flatMap(({ key }) => meshServices.get(key) ?? []).sort(preferring(at));
  return found.find(({ namespace }) => namespace === first?.namespace);
}
