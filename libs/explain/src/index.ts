/** A connection or request hop by hop, by the functions that the data plane calls. Pure. */
export { ExplainError, type ExplainErrorCode } from './errors.ts';
export { endsOf, explain } from './explain.ts';
export { renderExplanation } from './render.ts';
export type {
  Branch,
  End,
  ExplainQuery,
  Explanation,
  Hop,
  HopPlace,
  ObjectReference,
  Step,
} from './types.ts';
