//! `og model`: which models there are, what they take, converting one, adding one.

mod add;
mod build;

pub(crate) use add::register;

use crate::{
    client::{GatewayArgs, OfferedModel},
    output::{Output, TITLE, paint},
};
use og_types::TensorDescription;
use serde::Serialize;
use std::fmt;

/// List models, show what one takes, convert one, add one.
#[derive(Debug, clap::Args)]
pub(crate) struct Model {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the models that the network's nodes offer.
    List(List),
    /// Show what a model takes and gives.
    Show(Show),
    Add(add::Add),
    Build(build::Build),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The model's name or id.
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

impl Model {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.action {
            Action::List(list) => output.result(&Models {
                models: list.gateway.gateway()?.models().await?,
            }),
            Action::Show(show) => {
                let model = show.gateway.gateway()?.model(&show.model).await?;
                output.result(&Shown(model))
            }
            Action::Add(add) => add.run(output).await,
            Action::Build(build) => build.run(output),
        }
    }
}

#[derive(Serialize)]
struct Models {
    models: Vec<OfferedModel>,
}

impl fmt::Display for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}",
            paint(
                TITLE,
                format!("{:<20} {:<6} {:<8} id", "name", "nodes", "computed")
            )
        )?;
        for OfferedModel { info, nodes } in &self.models {
            let computed = format!("{:?}", info.computed).to_lowercase();
            write!(
                f,
                "\n{:<20} {nodes:<6} {computed:<8} {}",
                info.name, info.id
            )?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown(OfferedModel);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OfferedModel { info, nodes } = &self.0;
        writeln!(f, "{}", paint(TITLE, &info.name))?;
        writeln!(f, "id        {}", info.id)?;
        writeln!(
            f,
            "computed  {}",
            format!("{:?}", info.computed).to_lowercase()
        )?;
        write!(f, "nodes     {nodes}")?;
        tensors(f, "takes", &info.description.inputs)?;
        tensors(f, "gives", &info.description.outputs)
    }
}

fn tensors(f: &mut fmt::Formatter<'_>, title: &str, tensors: &[TensorDescription]) -> fmt::Result {
    for tensor in tensors {
        let shape = tensor.shape_text();
        write!(
            f,
            "\n{title:<9} {}: {} {shape}",
            tensor.name, tensor.element_type
        )?;
    }
    Ok(())
}
