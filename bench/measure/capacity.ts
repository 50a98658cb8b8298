/**
 * What each subject answered when as much was asked as it could take: the rate of a latency sample is a share of the least of them, the
 * same for all, so that nobody's latency is better for having less to do.
 */
export class Capacity {
  readonly #perSecond = new Map<string, Map<string, number>>();

  /** `what`: samples of one kind compare. The last one of a subject counts. */
  note(what: string, subject: string, perSecond: number): void {
    const of = this.#perSecond.get(what) ?? new Map<string, number>();
    this.#perSecond.set(what, of.set(subject, perSecond));
  }

  /** Throws when nothing was noted: that case has to run before. */
  shareOfLeast(what: string, share: number): number {
    const of = this.#perSecond.get(what);
    if (of === undefined) {
      throw new Error(`a share of what can be taken needs the case "${what}" before it`);
    }
    return Math.max(1, Math.round(Math.min(...of.values()) * share));
  }
}
