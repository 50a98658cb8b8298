/**
 * Who validates a review, as the server sees it; and validation in the calling thread.
 *
 * An outcome says whether the object is at fault. What is not the object's fault never refuses it: the
 * controller validates again when it reads the object, and keeps the last accepted version.
 */
import { type AdmissionFacts, parseReview, type Verdict } from './admission-review.ts';
import { judge } from './judge.ts';

export type ValidationOutcome =
  | { readonly kind: 'verdict'; readonly facts: AdmissionFacts; readonly verdict: Verdict }
  /** No AdmissionReview. */
  | { readonly kind: 'unreadable'; readonly message: string }
  /** The object took longer, or more memory, than one object may. */
  | { readonly kind: 'exhausted' }
  /** There was no time for it. */
  | { readonly kind: 'busy' };

export interface AdmissionValidator {
  /** Never rejects. `body` must not change until then. */
  validate(body: Uint8Array): Promise<ValidationOutcome>;
  close(): Promise<void>;
}

/** Never throws. */
export function validateReview(body: Uint8Array): ValidationOutcome {
  const parsed = parseReview(body);
  if (parsed.kind === 'error') return { kind: 'unreadable', message: parsed.message };
  const { object: _object, oldObject: _oldObject, ...facts } = parsed.request;
  return { kind: 'verdict', facts, verdict: judge(parsed.request) };
}
