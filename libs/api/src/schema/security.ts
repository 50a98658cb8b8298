/** security.istio.io: AuthorizationPolicy, PeerAuthentication, RequestAuthentication. */
import * as z from 'zod';
import type {
  AuthorizationOperation,
  AuthorizationPolicy,
  AuthorizationSource,
  PeerAuthentication,
  RequestAuthentication,
} from '../types/security.ts';
import { leaf, listOf, mapOf, name, oneOf, text } from './build.ts';
import { cidrText, labelSelector, targetRef } from './values.ts';

const strings = listOf(name);
const cidrs = listOf(cidrText);

const source: z.ZodType<AuthorizationSource> = z.strictObject({
  principals: strings,
  notPrincipals: strings,
  serviceAccounts: strings,
  notServiceAccounts: strings,
  namespaces: strings,
  notNamespaces: strings,
  trustDomains: strings,
  notTrustDomains: strings,
  requestPrincipals: strings,
  notRequestPrincipals: strings,
  ipBlocks: cidrs,
  notIpBlocks: cidrs,
  remoteIpBlocks: cidrs,
  notRemoteIpBlocks: cidrs,
});

const portText = leaf<string>(
  (raw, report) => {
    if (typeof raw === 'string' && /^[1-9]\d{0,4}$/.test(raw) && Number(raw) <= 65_535) return raw;
    report({
      code: 'INVALID_VALUE',
      message: 'is not a port',
      allowed: 'a port number in quotes, "1" to "65535"',
      ...(typeof raw === 'number' ? { fix: `quote it: "${raw}"` } : {}),
    });
    return undefined;
  },
  (value) => value,
  { type: 'string', pattern: '^[1-9][0-9]{0,4}$' },
);
const ports = listOf(portText);

const operation: z.ZodType<AuthorizationOperation> = z.strictObject({
  hosts: strings,
  notHosts: strings,
  ports,
  notPorts: ports,
  methods: strings,
  notMethods: strings,
  paths: strings,
  notPaths: strings,
});

const rule = z.strictObject({
  from: listOf(z.strictObject({ source })),
  to: listOf(z.strictObject({ operation })),
  when: listOf(z.strictObject({ key: name, values: listOf(text), notValues: listOf(text) })),
});

export const authorizationPolicySpec: z.ZodType<AuthorizationPolicy['spec']> = z
  .strictObject({
    selector: labelSelector.exactOptional(),
    targetRefs: listOf(targetRef),
    rules: listOf(rule),
    action: oneOf(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']).default('ALLOW'),
    provider: z.strictObject({ name }).exactOptional(),
  })
  .prefault({} as never);

const MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;
const mtls = z.strictObject({ mode: oneOf(MODES).default('UNSET') });

type PortModes = PeerAuthentication['spec']['portLevelMtls'];
/** That keys are ports is a rule (`rules/security.ts`). */
const portLevelMtls = mapOf(mtls) as unknown as z.ZodType<PortModes>;

export const peerAuthenticationSpec: z.ZodType<PeerAuthentication['spec']> = z
  .strictObject({
    selector: labelSelector.exactOptional(),
    mtls: mtls.prefault({} as never),
    portLevelMtls,
  })
  .prefault({} as never);

const header = z.strictObject({ name, prefix: text.exactOptional() });
const names = z.array(name).exactOptional();

/** Carried as written, since nothing reads it yet; its fields are checked nevertheless. */
const jwtRule: z.ZodType<Readonly<Record<string, unknown>>> = z.strictObject({
  issuer: text.exactOptional(),
  audiences: names,
  jwksUri: text.exactOptional(),
  jwks: text.exactOptional(),
  fromHeaders: z.array(header).exactOptional(),
  fromParams: names,
  fromCookies: names,
  outputPayloadToHeader: name.exactOptional(),
  outputClaimToHeaders: z.array(z.strictObject({ header: name, claim: name })).exactOptional(),
  forwardOriginalToken: z.boolean().exactOptional(),
  timeout: text.exactOptional(),
  spaceDelimitedClaims: names,
});

export const requestAuthenticationSpec: z.ZodType<RequestAuthentication['spec']> = z
  .strictObject({
    selector: labelSelector.exactOptional(),
    targetRefs: listOf(targetRef),
    jwtRules: listOf(jwtRule),
  })
  .prefault({} as never);
