/** May this connection or request pass, and because of which rule. Pure: no I/O, no clock, no chance. */
export { type CompileOptions, type CompileResult, compileAuthorizationPolicy } from './compile.ts';
export { PolicyError, type PolicyErrorCode } from './errors.ts';
export { type EvaluateOptions, evaluate } from './evaluate.ts';
export { describeRule, explainRefusal, explainVerdict, REFUSAL_ANSWER } from './explain.ts';
export { asksForPort } from './host-spellings.ts';
export { type JudgedHead, judgedHeader, judgedValue } from './judged-headers.ts';
export { l4Only } from './l4-only.ts';
export { EMPTY_L4, EMPTY_L7 } from './match-shapes.ts';
export { describeMissedRule, type MissedRule, missedRules } from './missed.ts';
export {
  type NormalizedPath,
  normalizePath,
  type PathNormalization,
  withUpperEscapes,
} from './normalize-path.ts';
export { PathIndex, type PathKey } from './path-index.ts';
export { matchesPattern, octetsOf, parsePathPattern, parseStringPattern } from './pattern.ts';
export {
  compilePeerAuthentication,
  convertPeerAuthentication,
  type EffectiveMode,
  type EffectivePeerAuthentication,
  type PeerAuthenticationTarget,
  staticStrictPolicy,
} from './peer-authentication.ts';
export { PolicyIndex, type PolicySelection, type PolicyTarget } from './policy-index.ts';
export type {
  Cidr,
  Clause,
  CompiledPolicy,
  ConnectionAttributes,
  HeaderMatch,
  L4Match,
  L7Match,
  Match,
  PathPattern,
  PolicyAction,
  PolicyInput,
  PolicyScope,
  RequestAttributes,
  Rule,
  RuleRef,
  ServiceAccountRef,
  StringPattern,
  Verdict,
} from './types.ts';
