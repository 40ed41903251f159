import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';

/** What an image's layers may cost in memory and steps, together. Each method throws IMAGE_TOO_LARGE. */
export class TreeBudget {
  #entries = 0;
  #nameBytes = 0;
  #followedBytes = 0;

  /** For a tar header, and for a folder that only a name implies: a name of 4 KiB can imply 2,000. */
  entry(): void {
    this.#entries += 1;
    if (this.#entries > limits.entries) throw tooLarge(`layers have more than ${limits.entries} entries`);
  }

  /** For names and targets that stay in memory. */
  names(bytes: number): void {
    this.#nameBytes += bytes;
    if (this.#nameBytes > limits.nameBytes) throw tooLarge(`names have more than ${limits.nameBytes} bytes`);
  }

  /** For the target of a symlink that a name leads through. */
  followed(bytes: number): void {
    this.#followedBytes += bytes;
    if (this.#followedBytes > limits.followedBytes) {
      throw tooLarge(`names lead through symlinks with more than ${limits.followedBytes} bytes of targets`);
    }
  }
}

function tooLarge(what: string): BuilderError {
  return new BuilderError('IMAGE_TOO_LARGE', `the image's ${what}`, {
    remedy: 'take files out of the image, or pack them into archives; if it should be small, do not trust it',
  });
}
