//! Networks against a plain loop over the same numbers.

use super::*;

/// A network of random weights, and what a plain loop over the same numbers gives.
#[test]
fn a_network_is_the_forward_pass_of_its_weights() {
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let mut layer = |inputs: usize, outputs: usize| Layer {
        weights: (0..outputs)
            .map(|_| (0..inputs).map(|_| random()).collect())
            .collect(),
        bias: (0..outputs).map(|_| random()).collect(),
    };
    for (index, curve) in [Curve::Softsign, Curve::Tanh, Curve::Elu]
        .into_iter()
        .enumerate()
    {
        let layers = vec![layer(6, 32), layer(32, 32), layer(32, 5), layer(5, 1)];
        let network = Network::new(2.0 * DT, vec![0, 1, 3], curve, layers).unwrap();
        let file = format!("manyworlds-actuator-{index}-{}.json", std::process::id());
        let file = std::env::temp_dir().join(file);
        std::fs::write(&file, network.to_json().unwrap()).unwrap();
        let network = Network::load(&file).unwrap();
        assert_eq!(network.lags, [0, 1, 3]);
        let toml = format!(
            "[actuator.m]\nactuators = ['pull', 'bend']\nmodel = 'network'\nfile = '{}'",
            file.display()
        );
        let mut bench = Bench::new(2, &toml);
        let mut seen: Vec<[f64; 2]> = Vec::new();
        for step in 0..20 {
            let t = f64::from(step);
            let [u, q, v] = [(0.3 * t).sin(), 0.5 * (0.21 * t).cos(), (0.4 * t).cos()];
            seen.push([u - q, v]);
            let lag =
                |lag: usize, kind: usize| seen[(seen.len() - 1).saturating_sub(2 * lag)][kind];
            let mut x: Vec<f64> = [0, 1]
                .iter()
                .flat_map(|k| [0, 1, 3].map(|l| lag(l, *k)))
                .collect();
            for (i, layer) in network.layers.iter().enumerate() {
                let rows = layer.weights.iter().zip(&layer.bias);
                x = rows
                    .map(|(row, bias)| bias + row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>())
                    .map(|y| match curve {
                        _ if i == 3 => y,
                        Curve::Softsign => y / (1.0 + y.abs()),
                        Curve::Tanh => y.tanh(),
                        Curve::Elu => {
                            if y > 0.0 {
                                y
                            } else {
                                y.exp_m1()
                            }
                        }
                    })
                    .collect();
            }
            for (actuator, gear) in [(0, 4.0), (1, 1.0)] {
                for out in bench.step_again([u, q, v], actuator) {
                    close(gear * out, x[0]);
                }
            }
            bench.count += 1;
        }
        std::fs::remove_file(file).unwrap();
    }
}

impl Bench {
    /// [`Bench::step`] for the first actuator that is asked for, and a look at its result for the others.
    fn step_again(&mut self, inputs: [f64; 3], actuator: usize) -> Vec<f64> {
        if actuator == 0 {
            let out = self.step(inputs, 0);
            self.count -= 1;
            return out;
        }
        let out = self.io[3];
        (0..self.worlds)
            .map(|world| self.memory.get(out, actuator, world))
            .collect()
    }
}
