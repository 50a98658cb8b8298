/**
 * Policies that agents enforce: `@ambit/policy` ⇄ `istio.security.Authorization`.
 *
 * AUDIT has no number there. It travels as a DENY that is only a dry run, so that a foreign agent
 * refuses nobody for it, with an extension that says what it is.
 */
import type { CompiledPolicy, PolicyAction, Rule } from '@ambit/policy';
import { create, toBinary } from '@bufbuild/protobuf';

import { invalidResource, XdsError } from '../errors.ts';
import {
  OriginsSchema,
  PolicyAction_Action,
  PolicyActionSchema,
} from '../gen/ambit/mesh/v1/mesh_pb.ts';
import {
  Action,
  type Authorization,
  AuthorizationSchema,
  ExtensionSchema,
  GroupSchema,
  RulesSchema,
  Scope,
} from '../gen/istio/security/authorization_pb.ts';
import { EXTENSION_NAME, EXTENSION_TYPE_URL } from '../type-urls.ts';
import { decodeMatch, encodeMatch } from './match.ts';
import {
  decodeMessage,
  type ExtensionFields,
  encodeExtension,
  enumNames,
  findExtension,
} from './primitives.ts';

const actionName = enumNames(Action, 'Action');
const scopeName = enumNames(Scope, 'Scope');

const ACTION = {
  name: EXTENSION_NAME.action,
  typeUrl: EXTENSION_TYPE_URL.action,
  schema: PolicyActionSchema,
  unknownFields: 'refuse',
} as const;
const ORIGINS = {
  name: EXTENSION_NAME.origins,
  typeUrl: EXTENSION_TYPE_URL.origins,
  schema: OriginsSchema,
} as const;

/** Throws XDS_NOT_EXPRESSIBLE for a policy with L7 matches. */
export function encodeAuthorization(policy: CompiledPolicy): Uint8Array {
  const isAudit = policy.action === 'AUDIT';
  const message = create(AuthorizationSchema, {
    name: policy.name,
    namespace: policy.namespace,
    scope: Scope[policy.scope],
    action: policy.action === 'ALLOW' ? Action.ALLOW : Action.DENY,
    groups: policy.rules.map((rule) =>
      create(GroupSchema, {
        rules: rule.clauses.map((clause) =>
          create(RulesSchema, {
            matches: clause.matches.map((match) => encodeMatch(match, policy.action)),
          }),
        ),
      }),
    ),
    dryRun: policy.dryRun || isAudit,
    extensions: extensionsOf(policy).map((extension) => create(ExtensionSchema, extension)),
  });
  return toBinary(AuthorizationSchema, message);
}

/**
 * Throws XDS_RESOURCE_INVALID, also when the content has another name than the resource, and when it
 * has a field that is not known: a condition that is not seen would make the policy mean another thing.
 * Extensions of foreign names are skipped.
 */
export function decodeAuthorization(name: string, value: Uint8Array): CompiledPolicy {
  const message = decodeMessage(AuthorizationSchema, value, 'refuse');
  if (`${message.namespace}/${message.name}` !== name) {
    throw invalidResource(
      `its content is named ${JSON.stringify(`${message.namespace}/${message.name}`.slice(0, 80))}`,
    );
  }
  return {
    name: message.name,
    namespace: message.namespace,
    scope: scopeName(message.scope),
    ...decodeAction(message),
    rules: decodeRules(message),
  };
}

/**
 * What stands in for a policy that `decodeAuthorization` refuses, so that it is not simply absent: it
 * refuses everything in the namespace it is of, or everywhere if even that can not be read. Undefined
 * for one with a selector: the workloads that name it refuse as long as they miss it.
 */
export function standInAuthorization(name: string, value: Uint8Array): CompiledPolicy | undefined {
  const scope = readScope(name, value);
  if (scope === 'WORKLOAD_SELECTOR') {
    return undefined;
  }
  const slash = name.indexOf('/');
  return {
    name: name.slice(slash + 1),
    namespace: name.slice(0, Math.max(slash, 0)),
    scope,
    action: 'DENY',
    dryRun: false,
    rules: [{ clauses: [] }],
    isUnreadable: true,
  };
}

/** GLOBAL if it can not be known. */
function readScope(name: string, value: Uint8Array): CompiledPolicy['scope'] {
  try {
    const message = decodeMessage(AuthorizationSchema, value);
    return `${message.namespace}/${message.name}` === name ? scopeName(message.scope) : 'GLOBAL';
  } catch (error) {
    if (error instanceof XdsError) {
      return 'GLOBAL';
    }
    throw error;
  }
}

/** `namespace/name`. */
export function authorizationName(policy: CompiledPolicy): string {
  return `${policy.namespace}/${policy.name}`;
}

function extensionsOf(policy: CompiledPolicy): ExtensionFields[] {
  const extensions: ExtensionFields[] = [];
  if (policy.action === 'AUDIT') {
    const message = create(PolicyActionSchema, {
      action: PolicyAction_Action.AUDIT,
      dryRun: policy.dryRun,
    });
    extensions.push(encodeExtension({ ...ACTION, message }));
  }
  const rules = policy.rules.map(({ clauses }) => ({ clauses: clauses.map((one) => one.origin) }));
  if (rules.some(({ clauses }) => clauses.some((origin) => origin !== ''))) {
    extensions.push(encodeExtension({ ...ORIGINS, message: create(OriginsSchema, { rules }) }));
  }
  return extensions;
}

function decodeAction(message: Authorization): { action: PolicyAction; dryRun: boolean } {
  const extension = findExtension(message.extensions, ACTION);
  const action = actionName(message.action);
  if (extension === undefined) {
    return { action, dryRun: message.dryRun };
  }
  if (extension.action !== PolicyAction_Action.AUDIT || action !== 'DENY' || !message.dryRun) {
    throw invalidResource(`unknown action ${extension.action} in ${EXTENSION_NAME.action}`);
  }
  return { action: 'AUDIT', dryRun: extension.dryRun };
}

function decodeRules(message: Authorization): Rule[] {
  const origins = findExtension(message.extensions, ORIGINS)?.rules;
  return message.groups.map((group, ruleIndex) => ({
    clauses: group.rules.map((clause, clauseIndex) => ({
      matches: clause.matches.map(decodeMatch),
      origin: origins?.[ruleIndex]?.clauses[clauseIndex] ?? '',
    })),
  }));
}
