/** Numbers from 0 to 1 that a seed repeats: a xorshift of 32 bits (Marsaglia, "Xorshift RNGs", 2003). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
