/**
 * A finding: one thing said about one object, to a person. Errors refuse the object; warnings do not.
 *
 * `validate`, admission, conditions and `analyze` all show these; nothing else formats bad input.
 */
export type Severity = 'error' | 'warning' | 'info';

export interface Finding {
  /** Stable, SCREAMING_SNAKE; docs anchor. */
  readonly code: string;
  readonly severity: Severity;
  /** Dotted path with indexes from the object's root: `spec.http[0].route[1].weight`. Empty: the whole object. */
  readonly path: string;
  /** What is wrong, in a sentence without the fix. */
  readonly message: string;
  /** The value found, shortened to 80 characters, as JSON; absent where a field is missing. */
  readonly found?: string;
  /** What is allowed there. */
  readonly allowed?: string;
  /** What to write instead. */
  readonly fix?: string;
}

/** `VirtualService/shop/reviews`; cluster-scoped: `Namespace/shop`. */
export type ObjectKey = string;
