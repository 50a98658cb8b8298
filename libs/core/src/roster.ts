/**
 * What is there for as long as a request or a connection: a list in which each member knows its place.
 *
 * Rule: where members come and go by the thousand, not a Set or a Map. V8 makes their tables anew as members leave, and each old
 * table points to the next. Once one of them is in the old space, all that follow are kept until the next full collection, and
 * with them whatever was a member when they were replaced.
 */

export interface RosterMember {
  /** For the one roster that has it; -1: none has. */
  rosterSlot: number;
}

export class Roster<Member extends RosterMember> {
  readonly #members: Member[] = [];

  get size(): number {
    return this.#members.length;
  }

  has(member: Member): boolean {
    return this.#members[member.rosterSlot] === member;
  }

  /** Of one that no roster has. */
  add(member: Member): void {
    member.rosterSlot = this.#members.push(member) - 1;
  }

  /** False: it was not there. */
  delete(member: Member): boolean {
    if (!this.has(member)) {
      return false;
    }
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#members[member.rosterSlot] = last;
      last.rosterSlot = member.rosterSlot;
    }
    member.rosterSlot = -1;
    return true;
  }

  /** A copy in no order: whoever walks over it may delete. */
  all(): Member[] {
    return this.#members.slice();
  }
}
