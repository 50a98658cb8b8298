/** Rules of what an http rule does to a request: redirect, fault, rewrite, retries, CORS, headers. */
import { isHeaderName } from '../schema/values.ts';
import { GRPC_STATUS_NAMES } from './grpc-status.ts';
import {
  authorityToSendRules,
  headerValueRules,
  locationRules,
  partOfPathRules,
  pathToSendRules,
} from './sent-text.ts';
import type { Complaint, View } from './view.ts';

/** Everything about the actions and modifiers of `rule`. */
export function modifierRules(rule: View): void {
  redirectRules(rule);
  faultRules(rule.at('fault'));
  rewriteRules(rule.at('rewrite'));
  retryRules(rule.at('retries'), rule.at('timeout'));
  corsRules(rule.at('corsPolicy'));
  directResponseRules(rule.at('directResponse'));
  headerOperationRules(rule.at('headers'), rule.at('rewrite', 'authority').exists);
  for (const route of rule.at('route').items) headerOperationRules(route.at('headers'), false);
}

/** The complaint about a name that no header has. */
export function badHeaderName(name: string): Complaint {
  const isPseudo = name.startsWith(':');
  return {
    code: 'INVALID_HEADER_NAME',
    message: isPseudo ? 'names a pseudo header' : 'is not the name of a header',
    allowed: 'letters, digits and -, as in RFC 9110',
  };
}

function redirectRules(rule: View): void {
  const redirect = rule.at('redirect');
  if (!redirect.exists) return;
  if (
    redirect.said(['uri', 'prefixRewrite', 'authority', 'scheme', 'port', 'derivePort']).length ===
    0
  ) {
    redirect.complain({
      code: 'REQUIRED_FIELD',
      message: 'leads back to the same place',
      allowed: 'at least one of uri, prefixRewrite, authority, scheme, port',
    });
  }
  authorityToSendRules(redirect.at('authority'));
  for (const field of ['uri', 'prefixRewrite']) locationRules(redirect.at(field));
  for (const [first, second] of [
    ['uri', 'prefixRewrite'],
    ['port', 'derivePort'],
  ] as const) {
    if (redirect.at(first).exists && redirect.at(second).exists) {
      redirect.at(second).complain({
        code: 'CONFLICTING_FIELDS',
        message: `cannot stand beside ${first}`,
        fix: 'remove one of them',
      });
    }
  }
  if (!redirect.at('prefixRewrite').exists) return;
  const matches = rule.at('match').items;
  const isAllPrefix =
    matches.length > 0 && matches.every((match) => match.at('uri', 'prefix').exists);
  if (!isAllPrefix) {
    redirect.at('prefixRewrite').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'needs uri.prefix in every match of the rule',
      fix: 'use uri to replace the whole path',
    });
  }
}

function faultRules(fault: View): void {
  if (!fault.exists) return;
  if (fault.said(['delay', 'abort']).length === 0) {
    fault.complain({
      code: 'REQUIRED_FIELD',
      message: 'injects nothing',
      allowed: 'at least one of delay, abort',
    });
  }
  for (const kind of ['delay', 'abort']) {
    const part = fault.at(kind);
    if (part.exists && !part.at('percentage').exists) {
      part.complain({
        code: 'FAULT_NEVER',
        severity: 'warning',
        message: 'has no percentage, which means 0 percent: it never happens',
        fix: 'write percentage: {value: 100}',
      });
    }
  }
  const abort = fault.at('abort');
  if (!abort.exists) return;
  if (abort.said(['httpStatus', 'grpcStatus']).length !== 1) {
    abort.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'needs one status',
      allowed: 'exactly one of httpStatus, grpcStatus',
    });
  }
  const status = abort.at('grpcStatus');
  if (status.text !== undefined && !GRPC_STATUS_NAMES.includes(status.text)) {
    const upper = status.text.toUpperCase();
    status.complain({
      code: 'INVALID_VALUE',
      message: 'is not the name of a gRPC status',
      allowed: GRPC_STATUS_NAMES.join(', '),
      ...(GRPC_STATUS_NAMES.includes(upper) ? { fix: `write ${upper}` } : {}),
    });
  }
}

function rewriteRules(rewrite: View): void {
  if (!rewrite.exists) return;
  if (rewrite.said(['uri', 'uriRegexRewrite', 'authority']).length === 0) {
    rewrite.complain({
      code: 'REQUIRED_FIELD',
      message: 'rewrites nothing',
      allowed: 'uri or uriRegexRewrite, authority',
    });
  }
  authorityToSendRules(rewrite.at('authority'));
  pathToSendRules(rewrite.at('uri'));
  partOfPathRules(rewrite.at('uriRegexRewrite', 'rewrite'));
  if (rewrite.at('uri').exists && rewrite.at('uriRegexRewrite').exists) {
    rewrite.at('uriRegexRewrite').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside uri',
      fix: 'remove one of them',
    });
  }
}

function retryRules(retries: View, timeout: View): void {
  if (!retries.exists) return;
  if (!retries.at('attempts').exists) {
    retries.complain({
      code: 'NO_RETRIES',
      severity: 'warning',
      message: 'has no attempts, which means 0: retries are off',
      fix: 'write attempts: 2',
    });
  }
  if (
    retries.at('attempts').number === 0 &&
    retries.said(['perTryTimeout', 'retryOn']).length > 0 &&
    !timeout.exists
  ) {
    retries.at('attempts').complain({
      code: 'NO_RETRIES',
      severity: 'info',
      message: 'turns retries off; the rest of the block has no effect',
    });
  }
}

function corsRules(cors: View): void {
  for (const method of cors.at('allowMethods').items) {
    if (method.text !== undefined && !/^(?:[A-Z]+|\*)$/.test(method.text)) {
      method.complain({
        code: 'INVALID_VALUE',
        message: 'is not a method',
        allowed: 'GET, POST and the like in upper case, or *',
      });
    }
  }
  const isAny = cors
    .at('allowOrigins')
    .items.some((origin) => origin.at('exact').text === '*' || origin.at('regex').text === '.*');
  if (isAny && cors.at('allowCredentials').value === true) {
    cors.at('allowCredentials').complain({
      code: 'CORS_ANY_ORIGIN',
      severity: 'warning',
      message: 'lets every site act with the credentials of the user',
      fix: 'list the origins',
    });
  }
}

function directResponseRules(response: View): void {
  if (response.at('body').exists && response.at('body').said(['string', 'bytes']).length !== 1) {
    response.at('body').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'needs one content',
      allowed: 'exactly one of string, bytes',
    });
  }
  const body = response.at('body', 'string').text ?? response.at('body', 'bytes').text ?? '';
  if (body.length > 1_048_576) {
    response
      .at('body')
      .complain({ code: 'OUT_OF_RANGE', message: 'is larger than 1 MB', allowed: 'at most 1 MB' });
  } else if (body.length > 102_400) {
    response.at('body').complain({
      code: 'LARGE_BODY',
      severity: 'warning',
      message: 'is larger than 100 kB and kept by every waypoint',
    });
  }
}

function headerOperationRules(headers: View, isAuthoritySet: boolean): void {
  let authorities = isAuthoritySet ? 1 : 0;
  for (const side of ['request', 'response']) {
    for (const operation of ['set', 'add']) {
      for (const [name, view] of headers.at(side, operation).fields) {
        const isAuthority = side === 'request' && /^(?::authority|host)$/i.test(name);
        if (isAuthority && operation === 'set') {
          authorityToSendRules(view);
          authorities += 1;
          if (authorities > 1)
            view.complain({
              code: 'DUPLICATE',
              message: 'sets the authority a second time',
              fix: 'remove it',
            });
        } else if (isAuthority)
          view.complain({
            code: 'INVALID_HEADER_NAME',
            message: 'Host can be set, not added',
            fix: 'move it to set',
          });
        else if (!isHeaderName(name)) view.complain(badHeaderName(name));
        headerValueRules(view);
      }
    }
    for (const name of headers.at(side, 'remove').items) {
      if (name.text !== undefined && (!isHeaderName(name.text) || /^host$/i.test(name.text)))
        name.complain(badHeaderName(name.text));
    }
  }
}
