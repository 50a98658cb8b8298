/** Rules across fields that a schema cannot say, by kind. */
import type { Finding } from '../types/finding.ts';
import { authorizationPolicyRules } from './authorization-policy.ts';
import { destinationRuleRules } from './destination-rule.ts';
import {
  gatewayClassRules,
  gatewayRules,
  grpcRouteRules,
  httpRouteRules,
  referenceGrantRules,
  tcpRouteRules,
} from './gateway.ts';
import { reservedAnnotationRules } from './reserved-annotations.ts';
import { peerAuthenticationRules, requestAuthenticationRules } from './security.ts';
import { serviceEntryRules, workloadEntryRules } from './service-entry.ts';
import { View } from './view.ts';
import { virtualServiceRules } from './virtual-service.ts';

const RULES: ReadonlyMap<string, (root: View) => void> = new Map([
  ['VirtualService', virtualServiceRules],
  ['DestinationRule', destinationRuleRules],
  ['ServiceEntry', serviceEntryRules],
  ['WorkloadEntry', workloadEntryRules],
  ['AuthorizationPolicy', authorizationPolicyRules],
  ['PeerAuthentication', peerAuthenticationRules],
  ['RequestAuthentication', requestAuthenticationRules],
  ['Gateway', gatewayRules],
  ['GatewayClass', gatewayClassRules],
  ['HTTPRoute', httpRouteRules],
  ['GRPCRoute', grpcRouteRules],
  ['TCPRoute', tcpRouteRules],
  ['ReferenceGrant', referenceGrantRules],
]);

/** Findings on the object of `kind`; tolerant of any shape, since the schema reports shapes. */
export function semanticFindings(kind: string, root: Record<string, unknown>): readonly Finding[] {
  const findings: Finding[] = [];
  const view = new View(root, findings, [], root);
  reservedAnnotationRules(view);
  RULES.get(kind)?.(view);
  return findings;
}
