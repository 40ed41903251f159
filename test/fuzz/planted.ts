/** A fault on purpose: a fuzzer that is blind would have to guess five bytes at once. */
export const seeds = ['hello'];

export function fuzz(input: Buffer): void {
  if (input[0] !== 0x66) return;
  if (input[1] !== 0x75) return;
  if (input[2] !== 0x7a) return;
  if (input[3] !== 0x7b) return;
  if (input[4] === 0x21) throw new Error('the planted fault');
}
