/**
 * Cancelling what one connection waits for, as an AbortSignal does, at a tenth of its price.
 *
 * An AbortController is an EventTarget: a map, a wrapper and a weak reference for each listener, 600 bytes that live as long as the
 * connection. Code that only waits asks for a `Cancellation`, which an AbortSignal is too.
 */

/** An object, where one more function for each connection is too much. */
export type CancellationListener = (() => void) | { handleEvent(): void };

export interface Cancellation {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  /** Called at most once, and not at all when it was aborted before. */
  addEventListener(
    type: 'abort',
    listener: CancellationListener,
    options?: { readonly once: true },
  ): void;
  removeEventListener(type: 'abort', listener: CancellationListener): void;
}

export class Canceller implements Cancellation {
  #isAborted = false;
  #reason: unknown;
  /** Most have one listener at a time. */
  #listener: CancellationListener | undefined;
  #others: CancellationListener[] | undefined;

  get aborted(): boolean {
    return this.#isAborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Idempotent; the first reason stays. */
  abort(reason: unknown): void {
    if (this.#isAborted) {
      return;
    }
    this.#isAborted = true;
    this.#reason = reason;
    const first = this.#listener;
    const others = this.#others;
    this.#listener = undefined;
    this.#others = undefined;
    if (first !== undefined) {
      call(first);
    }
    for (const listener of others ?? []) {
      call(listener);
    }
  }

  /** Aborts with the first of them that does, until the answer is called. */
  follow(...causes: readonly (Cancellation | undefined)[]): () => void {
    const links = causes.flatMap((cause) => {
      if (cause === undefined) {
        return [];
      }
      const end = (): void => this.abort(cause.reason);
      cause.addEventListener('abort', end, { once: true });
      if (cause.aborted) {
        end();
      }
      return [{ cause, end }];
    });
    return () => {
      for (const { cause, end } of links) {
        cause.removeEventListener('abort', end);
      }
    };
  }

  throwIfAborted(): void {
    if (this.#isAborted) {
      throw this.#reason;
    }
  }

  addEventListener(_type: 'abort', listener: CancellationListener): void {
    if (this.#isAborted) {
      return;
    }
    if (this.#listener === undefined) {
      this.#listener = listener;
    } else {
      this.#others ??= [];
      this.#others.push(listener);
    }
  }

  removeEventListener(_type: 'abort', listener: CancellationListener): void {
    if (this.#listener === listener) {
      this.#listener = undefined;
    } else if (this.#others !== undefined) {
      this.#others = this.#others.filter((other) => other !== listener);
    }
  }
}

function call(listener: CancellationListener): void {
  if (typeof listener === 'function') {
    listener();
  } else {
    listener.handleEvent();
  }
}

/** For what takes an AbortSignal alone. */
export function abortSignalOf(cancellation: Cancellation): AbortSignal {
  if (cancellation instanceof AbortSignal) {
    return cancellation;
  }
  const controller = new AbortController();
  const abort = (): void => controller.abort(cancellation.reason);
  cancellation.addEventListener('abort', abort, { once: true });
  if (cancellation.aborted) {
    abort();
  }
  return controller.signal;
}
