/** Whether a VirtualService is for calls inside of the mesh. Rule: each match says for itself which gateways it is for. */
import type { VirtualService } from '@ambit/api';

const MESH = 'mesh';

interface GatewayMatch {
  readonly gateways: readonly string[];
}

interface GatewayRule {
  readonly match: readonly GatewayMatch[];
}

/** Of a VirtualService whose `gateways` name the mesh. */
export function matchesInMesh({ gateways }: GatewayMatch): boolean {
  return gateways.length === 0 || gateways.includes(MESH);
}

/** As `matchesInMesh`. */
export function holdsInMesh({ match }: GatewayRule): boolean {
  return match.length === 0 || match.some(matchesInMesh);
}

export function namesMesh({ spec }: Pick<VirtualService, 'spec'>): boolean {
  return spec.gateways.includes(MESH);
}

/** Also of one without a rule, which routes nothing anywhere, this answers false. */
export function routesInMesh(object: Pick<VirtualService, 'spec'>): boolean {
  const { http, tls, tcp } = object.spec;
  return namesMesh(object) && [...http, ...tls, ...tcp].some(holdsInMesh);
}
