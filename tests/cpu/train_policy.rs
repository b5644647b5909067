//! An exported policy, run by numpy, acts as the one that was trained.

use burn::tensor::{Device, Tensor, TensorData};
use manyworlds::train::config::Activation;
use manyworlds::train::environment::{ActionTerm, ObservationGroup, ObservationTerm, Spec};
use manyworlds::train::normalize::Moments;
use manyworlds::train::ppo::Ppo;
use manyworlds::train::{Config, Policy, export};

use crate::oracle;

const OBSERVATIONS: usize = 5;

fn spec() -> Spec {
    let term = |name: &str, dim, scale| ObservationTerm {
        name: name.into(),
        dim,
        scale,
    };
    let action = |name: &str| ActionTerm {
        name: name.into(),
        scale: 0.5,
        offset: 0.1,
    };
    Spec {
        task: "oracle".into(),
        observations: vec![ObservationGroup {
            name: "policy".into(),
            terms: vec![
                term("joint_pos", 2, 1.0),
                term("joint_vel", OBSERVATIONS - 2, 0.05),
            ],
        }],
        actions: vec![action("hip"), action("knee")],
        control_dt: 0.02,
        ..Spec::default()
    }
}

#[test]
fn numpy_runs_an_exported_policy() {
    for activation in [Activation::Elu, Activation::Tanh, Activation::Relu] {
        let mut config = Config::default();
        config.network.actor = vec![16, 8];
        config.network.activation = activation;
        let device = Device::flex();
        let mut ppo = Ppo::new(&config, &spec(), &device).expect("the configuration is valid");
        ppo.obs_normalizer.set_moments(Moments {
            count: 100.0,
            mean: vec![0.5, -1.0, 0.0, 3.0, 10.0],
            variance: vec![1.0, 0.25, 4.0, 0.01, 100.0],
        });
        let policy = Policy::of(&ppo, &spec());

        let dir = std::env::temp_dir().join(format!(
            "manyworlds-policy-{}-{activation:?}",
            std::process::id()
        ));
        let [description, _] =
            export(&policy, &dir.join("policy")).expect("the temporary folder is writable");
        // The last row lies outside of the clipping range.
        let obs = [
            [0.0f32, 0.1, -0.2, 3.1, 12.0],
            [1.0, -1.5, 2.0, 2.9, -5.0],
            [0.5, -1.0, 0.0, 9.0, 10.0],
        ];
        let text = serde_json::to_string(&obs).expect("numbers are JSON");
        let path = description.to_string_lossy().into_owned();
        let reply = oracle::run("policy.py", &[&path, "--obs", &text]);
        std::fs::remove_dir_all(&dir).expect("the folder was just written");
        let Some(reply) = reply else { return };

        let theirs = oracle::floats(&reply["actions"]);
        let data = TensorData::new(obs.as_flattened().to_vec(), [obs.len(), OBSERVATIONS]);
        let ours: Vec<f64> = policy
            .act(Tensor::from_data(data, &device))
            .into_data()
            .iter::<f64>()
            .collect();
        assert_eq!(ours.len(), theirs.len());
        assert!(
            ours.iter().any(|action| action.abs() > 1e-4),
            "a policy that does nothing proves nothing"
        );
        for (ours, theirs) in ours.iter().zip(theirs) {
            // Sums of 16 products in f32, in another order, times a last layer of gain 0.01.
            assert!(
                (ours - theirs).abs() < 1e-6,
                "{activation:?}: {ours} {theirs}"
            );
        }
    }
}
