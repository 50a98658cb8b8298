/** Kinds of objects that proxies have in force, by the key of an object. */
import type { ObjectKey } from '@ambit/api';

const ENFORCED_KINDS: ReadonlySet<string> = new Set([
  'AuthorizationPolicy',
  'PeerAuthentication',
  'RequestAuthentication',
  'VirtualService',
  'DestinationRule',
  'HTTPRoute',
  'GRPCRoute',
  'TCPRoute',
]);

export function isEnforced(key: ObjectKey): boolean {
  return ENFORCED_KINDS.has(key.slice(0, key.indexOf('/')));
}

/** Until its waypoint is ready, traffic goes past it: a policy's does not, it is refused. */
export function isRouted(key: ObjectKey): boolean {
  return /^(VirtualService|DestinationRule|HTTPRoute|GRPCRoute|TCPRoute)\//.test(key);
}

/** Not among the objects of waypoints, and in force at agents all the same. */
export function isPeer(key: ObjectKey): boolean {
  return key.startsWith('PeerAuthentication/');
}
