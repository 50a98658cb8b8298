/**
 * Policies that agents enforce: `@ambit/policy` ⇄ `istio.security.Authorization`.
 *
 * AUDIT has no number there. It travels as a DENY that is only a dry run, so that a foreign agent
 * refuses nobody for it, with an extension that says what it is.
 */
import type { CompiledPolicy, PolicyAction, Rule } from '@ambit/policy';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

import { invalidResource } from '../errors.ts';
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
 * What stands in for a policy that `decodeAuthorization` refuses, so that it is neither absent nor left at what
 * it was: it refuses whatever names it, and everything in its scope, or everywhere if that can not be read.
 * `held`: the scope of the version that was read last, which what stands in never falls short of.
 */
export function standInAuthorization(
  name: string,
  value: Uint8Array,
  held?: CompiledPolicy['scope'],
): CompiledPolicy {
  const scope = readScope(name, value);
  const slash = name.indexOf('/');
  return {
    name: name.slice(slash + 1),
    namespace: name.slice(0, Math.max(slash, 0)),
    scope: WIDEST_FIRST.find((one) => one === scope || one === held) ?? 'GLOBAL',
    action: 'DENY',
    dryRun: false,
    rules: [{ clauses: [] }],
    isUnreadable: true,
  };
}

/** Each reaches what those after it reach: a policy of any scope is looked at where it is named, too. */
const WIDEST_FIRST = ['GLOBAL', 'NAMESPACE', 'WORKLOAD_SELECTOR'] as const;

/** Of the message's own fields alone, so that a part that is broken does not hide it. GLOBAL if it can not be known. */
function readScope(name: string, value: Uint8Array): CompiledPolicy['scope'] {
  try {
    const head = readHead(new BinaryReader(value));
    return `${head.namespace}/${head.name}` === name ? scopeName(head.scope) : 'GLOBAL';
  } catch {
    // Not even the outermost fields: RangeError and Error of the reader, or a scope of the future.
    return 'GLOBAL';
  }
}

interface Head {
  name: string;
  namespace: string;
  scope: number;
}

/** Throws for bytes that are no message, and for a field of another kind than it should be. */
function readHead(reader: BinaryReader): Head {
  const { name, namespace, scope } = AuthorizationSchema.field;
  const head: Head = { name: '', namespace: '', scope: 0 };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const isOurs = [name.number, namespace.number, scope.number].includes(field);
    const wanted = field === scope.number ? WireType.Varint : WireType.LengthDelimited;
    if (isOurs && wireType !== wanted) {
      throw invalidResource(`field ${field} of another type`);
    }
    if (field === name.number) {
      head.name = reader.string();
    } else if (field === namespace.number) {
      head.namespace = reader.string();
    } else if (field === scope.number) {
      head.scope = reader.int32();
    } else {
      reader.skip(wireType, field);
    }
  }
  return head;
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
