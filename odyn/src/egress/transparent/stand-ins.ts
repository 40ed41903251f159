import { cidrContains, type IpAddress, parseCidr } from '@enclaver/manifest';
import { limits } from '../../limits.ts';

/** For benchmarks between networks (RFC 2544): no host of anybody has these addresses. */
const RANGE = parseCidr('198.18.0.0/15');
const FIRST = 0xc612_0000;
const SIZE = 2 ** 17;

/**
 * Addresses that stand for names: an app gets one from the resolver and connects to it, and it is the name that is
 * decided on and that the parent looks up. The names used last are kept. An address that is free again is not given out
 * before all others have been, since an app may still hold on to it.
 */
export class StandIns {
  /** In the order of their last use. */
  readonly #numbers = new Map<string, number>();
  readonly #names = new Map<number, string>();
  #last = 0;

  static has(address: IpAddress): boolean {
    return cidrContains(RANGE, address);
  }

  addressOf(name: string): IpAddress {
    const number = this.#numbers.get(name) ?? this.#free();
    this.#use(name, number);
    return { family: 4, bytes: Uint8Array.from([24, 16, 8, 0], (shift) => ((FIRST + number) >>> shift) & 255) };
  }

  nameOf({ bytes }: IpAddress): string | undefined {
    const number = Buffer.from(bytes).readUInt32BE() - FIRST;
    const name = this.#names.get(number);
    if (name !== undefined) this.#use(name, number);
    return name;
  }

  #use(name: string, number: number): void {
    this.#numbers.delete(name);
    this.#numbers.set(name, number);
    this.#names.set(number, name);
    if (this.#numbers.size <= limits.egressStandIns) return;
    const [oldest, freed] = this.#numbers.entries().next().value ?? [name, number];
    this.#numbers.delete(oldest);
    this.#names.delete(freed);
  }

  #free(): number {
    do this.#last = (this.#last + 1) % SIZE;
    while (this.#last === 0 || this.#last === SIZE - 1 || this.#names.has(this.#last));
    return this.#last;
  }
}
