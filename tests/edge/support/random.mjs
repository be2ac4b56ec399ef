/** Numbers that look random and are the same in every run of a seed. */

/** A function that gives a whole number from 0 to below its argument. */
export function randomNumbers(seed) {
  let state = seed * 2654435761;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
