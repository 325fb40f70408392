//! An ONNX file's protobuf becomes a graph, with bounds.

use super::{Attribute, Graph, GraphInput, Id, MAX_MODEL_BYTES, MAX_NODES, Node, OPSETS, shorten};
use crate::onnx::{
    Fault, OnnxError,
    tensor::{Data, Tensor, count, count_constant},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tract_onnx::pb::{
    self, tensor_proto::DataType, tensor_shape_proto::dimension::Value as Dimension,
};
use tract_onnx::prelude::Framework as _;

/// Reads a file. `extents` binds named dimensions; unnamed and unbound ones become 1.
pub(crate) fn read(file: &[u8], extents: &BTreeMap<String, u32>) -> Result<Graph, OnnxError> {
    if file.len() > MAX_MODEL_BYTES {
        return Err(OnnxError::TooLarge(file.len()));
    }
    let model = tract_onnx::onnx()
        .proto_model_for_read(&mut &*file)
        .map_err(|error| OnnxError::NotOnnx(shorten(&format!("{error:#}"))))?;
    let opset = opset(&model)?;
    let graph = model
        .graph
        .ok_or_else(|| OnnxError::NotOnnx("it holds no graph".into()))?;
    if graph.node.len() > MAX_NODES {
        return Err(OnnxError::TooManyNodes(graph.node.len()));
    }
    Reader::default().graph(graph, extents, opset)
}

fn opset(model: &pb::ModelProto) -> Result<i64, OnnxError> {
    let default = model
        .opset_import
        .iter()
        .find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    let version = default.map_or(*OPSETS.end(), |set| set.version);
    if !OPSETS.contains(&version) {
        return Err(OnnxError::Opset(version));
    }
    if !model.functions.is_empty() {
        return Err(OnnxError::NotOnnx(
            "it defines functions of its own: inline them before (onnx.inliner)".into(),
        ));
    }
    Ok(version)
}

#[derive(Default)]
struct Reader {
    names: Vec<String>,
    ids: HashMap<String, Id>,
}

impl Reader {
    fn id(&mut self, name: &str) -> Id {
        *self.ids.entry(name.to_owned()).or_insert_with(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    fn graph(
        mut self,
        graph: pb::GraphProto,
        extents: &BTreeMap<String, u32>,
        opset: i64,
    ) -> Result<Graph, OnnxError> {
        let mut constants = BTreeMap::new();
        for proto in &graph.initializer {
            let tensor = tensor(proto).map_err(|fault| fault.at("initializer", &proto.name))?;
            constants.insert(self.id(&proto.name), tensor);
        }
        if !graph.sparse_initializer.is_empty() {
            return Err(OnnxError::NotOnnx(
                "it has sparse initializers: make them dense".into(),
            ));
        }
        let mut inputs = vec![];
        for info in &graph.input {
            let id = self.id(&info.name);
            // Files of old versions list their initializers among the inputs.
            if !constants.contains_key(&id) {
                inputs.push(graph_input(info, id, extents)?);
            }
        }
        let mut known: BTreeSet<Id> = constants.keys().copied().collect();
        known.extend(inputs.iter().map(|input| input.id));
        let mut nodes = Vec::with_capacity(graph.node.len());
        for proto in &graph.node {
            let node = self.node(proto)?;
            let operator = node.operator.clone();
            for input in node.inputs.iter().flatten() {
                if !known.contains(input) {
                    let name = shorten(&self.names[*input]);
                    let reason = format!("reads {name:?}, which nothing before it gives");
                    return Err(Fault::Shape(reason).at(&operator, &node.name));
                }
            }
            for output in node.outputs.iter().flatten() {
                if !known.insert(*output) {
                    let reason = "gives a tensor that is already there".to_owned();
                    return Err(Fault::Shape(reason).at(&operator, &node.name));
                }
            }
            nodes.push(node);
        }
        let outputs: Vec<Id> = graph
            .output
            .iter()
            .map(|info| self.id(&info.name))
            .collect();
        if let Some(missing) = outputs.iter().find(|id| !known.contains(id)) {
            let name = shorten(&self.names[*missing]);
            return Err(OnnxError::NotOnnx(format!("nothing gives output {name:?}")));
        }
        Ok(Graph {
            names: self.names,
            nodes,
            constants,
            inputs,
            outputs,
            opset,
        })
    }

    fn node(&mut self, proto: &pb::NodeProto) -> Result<Node, OnnxError> {
        let operator = match proto.domain.as_str() {
            "" | "ai.onnx" => proto.op_type.clone(),
            domain => format!("{domain}.{}", proto.op_type),
        };
        let name = match (proto.name.as_str(), proto.output.first()) {
            ("", Some(output)) => shorten(output),
            (name, _) => shorten(name),
        };
        let mut attributes = BTreeMap::new();
        for proto in &proto.attribute {
            if let Some(value) = attribute(proto).map_err(|fault| fault.at(&operator, &name))? {
                attributes.insert(proto.name.clone(), value);
            }
        }
        let mut present = |name: &String| (!name.is_empty()).then(|| self.id(name));
        let inputs = proto.input.iter().map(&mut present).collect();
        let outputs = proto.output.iter().map(&mut present).collect();
        Ok(Node {
            name,
            operator,
            inputs,
            outputs,
            attributes,
        })
    }
}

fn graph_input(
    info: &pb::ValueInfoProto,
    id: Id,
    extents: &BTreeMap<String, u32>,
) -> Result<GraphInput, OnnxError> {
    let wrong = |reason: &str| OnnxError::Input {
        name: shorten(&info.name),
        reason: reason.to_owned(),
    };
    let Some(pb::type_proto::Value::TensorType(of)) =
        info.r#type.as_ref().and_then(|of| of.value.as_ref())
    else {
        return Err(wrong("is not a tensor"));
    };
    let float = match DataType::try_from(of.elem_type) {
        Ok(DataType::Float | DataType::Double | DataType::Float16) => true,
        Ok(DataType::Int64 | DataType::Int32 | DataType::Bool | DataType::Uint8) => false,
        _ => {
            return Err(wrong(
                "holds elements that are neither numbers nor booleans",
            ));
        }
    };
    let dims = of.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let shape = dims
        .iter()
        .map(|dim| match &dim.value {
            Some(Dimension::DimValue(extent)) if *extent > 0 => usize::try_from(*extent).ok(),
            Some(Dimension::DimParam(name)) => {
                Some(extents.get(name).map_or(1, |extent| *extent as usize))
            }
            _ => Some(1),
        })
        .collect::<Option<Vec<usize>>>()
        .filter(|shape| count(shape).is_ok_and(|elements| elements > 0))
        .ok_or_else(|| wrong("is too large: 2^24 elements are allowed"))?;
    Ok(GraphInput { id, shape, float })
}

fn attribute(proto: &pb::AttributeProto) -> Result<Option<Attribute>, Fault> {
    use pb::attribute_proto::AttributeType as Kind;
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    Ok(Some(match Kind::try_from(proto.r#type) {
        Ok(Kind::Float) => Attribute::Float(proto.f),
        Ok(Kind::Int) => Attribute::Int(proto.i),
        Ok(Kind::String) => Attribute::Text(text(&proto.s)),
        Ok(Kind::Floats) => Attribute::Floats(proto.floats.clone()),
        Ok(Kind::Ints) => Attribute::Ints(proto.ints.clone()),
        Ok(Kind::Strings) => Attribute::Texts(proto.strings.iter().map(text).collect()),
        Ok(Kind::Tensor) => match &proto.t {
            Some(proto) => Attribute::Tensor(tensor(proto)?),
            None => return Ok(None),
        },
        Ok(Kind::Graph | Kind::Graphs) => {
            return Err(Fault::Unsupported(
                "graphs inside graphs (If, Loop, Scan) are not converted: export with fixed shapes and without control flow",
            ));
        }
        _ => return Ok(None),
    }))
}

/// A constant of the file.
fn tensor(proto: &pb::TensorProto) -> Result<Tensor, Fault> {
    if !proto.external_data.is_empty() {
        return Err(Fault::Unsupported(
            "its data lie in another file: save the model in one file (onnx.save without external data)",
        ));
    }
    let shape = proto
        .dims
        .iter()
        .map(|extent| usize::try_from(*extent))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Fault::Shape("a constant has a negative extent".into()))?;
    let elements = count_constant(&shape)?;
    let data = elements_of(proto)?;
    let found = match &data {
        Data::Float(values) => values.len(),
        Data::Int(values) => values.len(),
    };
    if found != elements {
        return Err(Fault::Shape(format!(
            "a constant of shape {shape:?} has {found} elements"
        )));
    }
    if let Data::Float(values) = &data
        && values.iter().any(|value| value.is_nan())
    {
        return Err(Fault::Shape("a constant holds NaN".into()));
    }
    Ok(Tensor { shape, data })
}

fn elements_of(proto: &pb::TensorProto) -> Result<Data, Fault> {
    let raw = &proto.raw_data;
    fn each<const N: usize, T>(raw: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
        let chunks = raw
            .chunks_exact(N)
            .filter_map(|chunk| chunk.try_into().ok());
        chunks.map(value).collect()
    }
    let narrow = || proto.int32_data.iter().map(|value| i64::from(*value));
    let half = |bits: u16| half::f16::from_bits(bits).to_f32();
    let brain = |bits: u16| half::bf16::from_bits(bits).to_f32();
    let inline = raw.is_empty();
    Ok(match DataType::try_from(proto.data_type) {
        Ok(DataType::Float) if inline => Data::Float(proto.float_data.clone()),
        Ok(DataType::Float) => Data::Float(each(raw, f32::from_le_bytes)),
        Ok(DataType::Double) if inline => Data::Float(
            proto
                .double_data
                .iter()
                .map(|value| *value as f32)
                .collect(),
        ),
        Ok(DataType::Double) => Data::Float(each(raw, |b| f64::from_le_bytes(b) as f32)),
        Ok(DataType::Float16) if inline => Data::Float(narrow().map(|v| half(v as u16)).collect()),
        Ok(DataType::Float16) => Data::Float(each(raw, |b| half(u16::from_le_bytes(b)))),
        Ok(DataType::Bfloat16) if inline => {
            Data::Float(narrow().map(|v| brain(v as u16)).collect())
        }
        Ok(DataType::Bfloat16) => Data::Float(each(raw, |b| brain(u16::from_le_bytes(b)))),
        Ok(DataType::Int64) if inline => Data::Int(proto.int64_data.clone()),
        Ok(DataType::Int64) => Data::Int(each(raw, i64::from_le_bytes)),
        Ok(DataType::Int32 | DataType::Bool | DataType::Uint8 | DataType::Int8) if inline => {
            Data::Int(narrow().collect())
        }
        Ok(DataType::Int32) => Data::Int(each(raw, |b| i64::from(i32::from_le_bytes(b)))),
        Ok(DataType::Bool | DataType::Uint8) => {
            Data::Int(raw.iter().map(|byte| i64::from(*byte)).collect())
        }
        Ok(DataType::Int8) => Data::Int(raw.iter().map(|byte| i64::from(*byte as i8)).collect()),
        _ => {
            return Err(Fault::Unsupported(
                "a constant's elements are neither floats nor integers of up to 64 bits",
            ));
        }
    })
}
